#!/bin/sh
# Sets up the RDMP node on this machine. Safe to repeat.
#
#   sh node.sh                   install, or mend what is there     sh node.sh --upgrade    to the portal's version
#   sh node.sh --remove          take it off this machine           sh node.sh --help       all options
#
# The token is asked for, or read from the file that RDMP_NODE_TOKEN_FILE names: it is on no command line. Python's
# packages come from the index that this machine's own pip is set to (/etc/pip.conf, PIP_INDEX_URL).
set -eu

PORTAL='@PORTAL@'
BUNDLE='@BUNDLE@'
SHA256='@SHA256@'
VERSION='@VERSION@'

ROOT='' PORT=2222 HOST='' LEAST_FREE='' WHAT=install SYSTEMD=yes SPOOL=ask WAIT=600 YES=no
NAME=rdmp-node

usage() {
	cat <<'TEXT'
  --port N         where the node takes SSH (2222)
  --host ADDRESS   only on this address
  --upgrade        take the portal's version: drain, switch, and go back when the new one does not come up
  --wait SECONDS   how long an upgrade waits for sessions to end (600); 0: it ends them
  --remove         stop it, tell the portal, and take it off this machine
  --keep, --wipe   with --remove: what it has not told yet, and its key
  --yes            ask nothing
  --root DIR       everything below DIR, as whoever runs this; nothing of the system is touched
  --no-systemd     run it in the background without systemd
TEXT
}

say() { printf '%s\n' "$*"; }
fail() { printf 'rdmp-node: %s\n' "$*" >&2; exit 1; }

ask() { # ask QUESTION: what the person answers; nothing when there is nobody to ask
	[ "$YES" = no ] && [ -r /dev/tty ] && (: </dev/tty) 2>/dev/null || return 0
	printf '%s' "$1" >/dev/tty
	IFS= read -r answer </dev/tty || answer=''
	printf '%s' "$answer"
}

ask_unseen() {
	(: </dev/tty) 2>/dev/null || fail 'no terminal to ask for the token: put it into a file and name it in RDMP_NODE_TOKEN_FILE'
	printf '%s' "$1" >/dev/tty
	stty -echo </dev/tty
	trap 'stty echo </dev/tty' INT TERM EXIT
	IFS= read -r answer </dev/tty || answer=''
	stty echo </dev/tty
	trap - INT TERM EXIT
	printf '\n' >/dev/tty
	printf '%s' "$answer"
}

options() {
	while [ $# -gt 0 ]; do
		case $1 in
			--port) PORT=${2:?}; shift ;;
			--host) HOST=${2:?}; shift ;;
			--upgrade) WHAT=upgrade ;;
			--wait) WAIT=${2:?}; shift ;;
			--remove) WHAT=remove ;;
			--keep) SPOOL=keep ;;
			--wipe) SPOOL=wipe ;;
			--yes) YES=yes ;;
			--root) ROOT=${2:?}; SYSTEMD=no; shift ;;
			--no-systemd) SYSTEMD=no ;;
			--help) usage; exit 0 ;;
			*) usage >&2; fail "unknown option $1" ;;
		esac
		shift
	done
	case $PORT in '' | *[!0-9]*) fail "--port $PORT is no port" ;; esac
	[ "$PORT" -ge 1 ] && [ "$PORT" -le 65535 ] || fail "--port $PORT is no port"
	case $WAIT in '' | *[!0-9]*) fail "--wait $WAIT is no number of seconds" ;; esac
}

places() {
	PROGRAMS=$ROOT/opt/$NAME STATE=$ROOT/var/lib/$NAME SETTINGS=$ROOT/etc/$NAME.env
	UNIT=$ROOT/etc/systemd/system/$NAME.service
	CURRENT=$PROGRAMS/current
	if [ -z "$ROOT" ]; then
		[ "$(id -u)" = 0 ] || fail 'please run this as root, for example with sudo'
		if [ "$SYSTEMD" = yes ] && [ ! -d /run/systemd/system ]; then
			fail 'systemd does not run here: start again with --no-systemd'
		fi
	fi
}

find_python() {
	for name in python3.13 python3.12 python3.11 python3; do
		if command -v "$name" >/dev/null 2>&1 &&
			"$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
			PYTHON=$(command -v "$name")
			"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
				fail "$name has no venv: apt-get install $name-venv"
			return
		fi
	done
	fail 'Python 3.11 or newer is needed: apt-get install python3.11 python3.11-venv, or dnf install python3.11'
}

check_portal() { # reachable, and its clock like ours: signatures hold for a minute
	"$PYTHON" - "$PORTAL" <<'PYTHON' || exit 1
import email.utils, sys, time, urllib.error, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1] + "/healthz", timeout=20) as answer:
        date = answer.headers.get("Date")
except urllib.error.HTTPError as problem:
    date = problem.headers.get("Date")
except OSError as problem:
    reason = getattr(problem, "reason", problem)
    sys.exit(f"rdmp-node: {sys.argv[1]} cannot be reached from here: {reason}. "
             "The node needs to reach it over HTTPS (a proxy: set https_proxy).")
ahead = time.time() - email.utils.parsedate_to_datetime(date).timestamp() if date else 0
if abs(ahead) > 55:
    sys.exit(f"rdmp-node: this machine's clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}: "
             "set it first (timedatectl set-ntp true).")
PYTHON
}

make_user() {
	[ -z "$ROOT" ] || return 0
	if ! id "$NAME" >/dev/null 2>&1; then
		shell=/usr/sbin/nologin
		[ -x $shell ] || shell=/sbin/nologin
		useradd --system --user-group --home-dir "$STATE" --no-create-home --shell $shell "$NAME" ||
			fail "the user $NAME cannot be made"
	fi
}

as_node() { # as_node COMMAND…: as the node's own user, with nothing of our environment but what reaches the portal
	if [ -z "$ROOT" ]; then set -- "$(command -v runuser || say /usr/sbin/runuser)" -u "$NAME" -- "$@"; fi
	(cd / && env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$STATE" LANG=C.UTF-8 \
		${https_proxy+https_proxy="$https_proxy"} ${http_proxy+http_proxy="$http_proxy"} \
		${no_proxy+no_proxy="$no_proxy"} "$@")
}

node() { as_node env PYTHONPATH="$CURRENT" "$CURRENT/venv/bin/python" -m bastion.gateway --state "$STATE" "$@"; }

fetch() { # the program of this version, with its packages; a half made one is made anew
	PLACE=$PROGRAMS/$VERSION
	if [ -e "$PLACE/complete" ]; then return 0; fi
	rm -rf "$PLACE"
	mkdir -p "$PLACE"
	say "Fetching the node $VERSION …"
	"$PYTHON" - "$PORTAL$BUNDLE" "$SHA256" "$PLACE" <<'PYTHON' || exit 1
import hashlib, io, sys, tarfile, urllib.request
address, wanted, place = sys.argv[1:]
try:
    with urllib.request.urlopen(address, timeout=60) as answer:
        data = answer.read(64 << 20)
except OSError as problem:
    sys.exit(f"rdmp-node: {address} cannot be fetched: {problem}")
if hashlib.sha256(data).hexdigest() != wanted:
    sys.exit("rdmp-node: what was fetched is not what the portal announced: get the script anew and start again.")
with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
    for entry in tar:
        if not entry.isfile() or entry.name.startswith("/") or ".." in entry.name.split("/"):
            sys.exit("rdmp-node: the archive holds something else than files")
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    tar.extractall(place, **safely)
PYTHON
	"$PYTHON" -m venv "$PLACE/venv" || fail 'the virtual environment cannot be made'
	say 'Installing its packages …'
	"$PLACE/venv/bin/python" -m pip --disable-pip-version-check install --quiet --require-hashes \
		-r "$PLACE/requirements.txt" ||
		fail "its packages cannot be installed: can pip reach its index? (pip config list; PIP_INDEX_URL)"
	(cd "$PLACE" && venv/bin/python -m compileall -q bastion && venv/bin/python -c 'import bastion.gateway.__main__') ||
		fail 'the program does not start on this machine: the lines above tell why'
	: >"$PLACE/complete"
}

make_state() {
	mkdir -p "$STATE" "$(dirname "$SETTINGS")"
	chmod 700 "$STATE"
	[ -n "$ROOT" ] || chown "$NAME:$NAME" "$STATE"
}

write_settings() { # a proxy's address may hold a password: for root and the node alone
	rm -f "$SETTINGS.new"
	(umask 077 && : >"$SETTINGS.new")
	{
		say "RDMP_NODE_STATE=$STATE"
		say "RDMP_NODE_PORT=$PORT"
		[ -z "$HOST" ] || say "RDMP_NODE_HOST=$HOST"
		[ -z "$LEAST_FREE" ] || say "RDMP_NODE_LEAST_FREE_GB=$LEAST_FREE"
		for name in https_proxy http_proxy no_proxy; do
			eval "value=\${$name-}"
			[ -z "$value" ] || say "$name=$value"
		done
	} >"$SETTINGS.new"
	[ -n "$ROOT" ] || chown "root:$NAME" "$SETTINGS.new"
	chmod 640 "$SETTINGS.new"
	mv -f "$SETTINGS.new" "$SETTINGS"
}

keep_settings() { # what a former run was told, unless this one was told otherwise
	[ -r "$SETTINGS" ] || return 0
	former=$(sed -n 's/^RDMP_NODE_PORT=//p' "$SETTINGS")
	if [ "$PORT" = 2222 ] && [ -n "$former" ]; then PORT=$former; fi
	if [ -z "$HOST" ]; then HOST=$(sed -n 's/^RDMP_NODE_HOST=//p' "$SETTINGS"); fi
	if [ -z "$LEAST_FREE" ]; then LEAST_FREE=$(sed -n 's/^RDMP_NODE_LEAST_FREE_GB=//p' "$SETTINGS"); fi
}

write_unit() {
	[ "$SYSTEMD" = yes ] || return 0
	capabilities=''
	[ "$PORT" -ge 1024 ] || capabilities=CAP_NET_BIND_SERVICE
	mkdir -p "$(dirname "$UNIT")"
	cat >"$UNIT" <<TEXT
@UNIT@
TEXT
	systemctl daemon-reload
}

start() {
	if [ "$SYSTEMD" = yes ]; then
		systemctl enable --quiet "$NAME" && systemctl restart "$NAME"
		return
	fi
	stop
	set -- "$CURRENT/venv/bin/python" -m bastion.gateway run --state "$STATE" --port "$PORT" ${HOST:+--host "$HOST"}
	as_node env PYTHONPATH="$CURRENT" sh -c 'nohup "$@" >"$HOME/node.log" 2>&1 & echo $! >"$HOME/node.pid"' sh "$@"
}

stop() {
	if [ "$SYSTEMD" = yes ]; then
		systemctl stop "$NAME" 2>/dev/null || true
		return
	fi
	pid=$(as_node cat "$STATE/node.pid" 2>/dev/null || true)
	case $pid in
		'' | 0* | *[!0-9]*) ;;
		*)
			tries=0
			while signal TERM && [ $tries -lt 60 ]; do
				tries=$((tries + 1))
				sleep 0.5
			done
			signal KILL || true
			;;
	esac
	rm -f "$STATE/node.pid"
}

signal() { # signal NAME: to the process of the pid file, as the node's own user, who can end none but its own
	as_node sh -c 'kill "-$1" "$2"' sh "$1" "$pid" 2>/dev/null
}

is_up() { # is_up SECONDS: the portal hears of it, as this version
	until=$(($(date +%s) + $1))
	while [ "$(date +%s)" -lt "$until" ]; do
		case $(node standing 2>/dev/null || true) in *" $VERSION "*" heard") return 0 ;; esac
		sleep 1
	done
	return 1
}

last_words() {
	if [ "$SYSTEMD" = yes ]; then journalctl -u "$NAME" -n 15 --no-pager >&2 || true
	else as_node tail -n 15 "$STATE/node.log" >&2 || true; fi
}

enrol() {
	if [ -r "$STATE/node.json" ] && node standing >/dev/null 2>&1; then return 0; fi
	if [ -n "${RDMP_NODE_TOKEN_FILE-}" ]; then
		[ -r "$RDMP_NODE_TOKEN_FILE" ] || fail "$RDMP_NODE_TOKEN_FILE cannot be read"
		token=$(cat "$RDMP_NODE_TOKEN_FILE")
	else
		token=$(ask_unseen 'Token of this node (the portal shows it once): ')
	fi
	[ -n "$token" ] || fail 'no token'
	printf '%s\n' "$token" | node enrol --portal "$PORTAL" --port "$PORT" ||
		fail 'the portal did not take this node. A token holds for an hour and for one node: ask for a new one there.'
}

use() { # use VERSION
	ln -sfn "$1" "$CURRENT.new"
	mv -fT "$CURRENT.new" "$CURRENT"
}

install() {
	find_python
	check_portal
	make_user
	fetch
	make_state
	keep_settings
	write_settings
	use "$VERSION"
	enrol
	write_unit
	start
	is_up 90 || { last_words; fail 'the portal does not see the node: the lines above may tell why.'; }
	node undrain
	say "The node runs: $(node standing)"
}

upgrade() {
	[ -e "$CURRENT" ] || fail 'there is no node here to upgrade'
	[ -r "$STATE/node.json" ] || fail 'this node is not enrolled: install it first'
	keep_settings
	former=$(readlink "$CURRENT")
	if [ "$former" = "$VERSION" ] && is_up 3; then
		say "It is up to date: $(node standing)"
		return 0
	fi
	find_python
	check_portal
	fetch
	node drain || fail 'the portal does not answer: nothing was changed'
	waited=0
	while [ "$waited" -lt "$WAIT" ] && ! node standing | grep -q ' 0 online '; do
		[ $((waited % 30)) -ne 0 ] || say "Waiting for sessions to end: $(node standing)"
		waited=$((waited + 2))
		sleep 2
	done
	use "$VERSION"
	write_settings
	write_unit
	start
	if ! is_up 90; then
		last_words
		say "$VERSION does not come up: going back to $former." >&2
		stop
		use "$former"
		VERSION=$former
		write_unit
		start
		is_up 90 || fail "neither does $former: please look at the lines above."
		node undrain || true
		fail 'the former version runs again; the new one did not come up.'
	fi
	node undrain
	for old in "$PROGRAMS"/*/; do
		old=$(basename "$old")
		case $old in "$VERSION" | "$former" | current) ;; *) rm -rf "${PROGRAMS:?}/$old" ;; esac
	done
	say "The node runs: $(node standing)"
}

waiting() { find "$STATE/spool" \( -name '*.facts' -o -name '*.json' \) 2>/dev/null | wc -l | tr -d ' '; }

remove() {
	if [ "$(ask 'Take the node off this machine? Sessions through it end. [y/N] ')" != y ] && [ "$YES" = no ]; then
		fail 'nothing was done'
	fi
	keep_settings
	node drain >/dev/null 2>&1 || true
	tries=0
	while [ "$(waiting)" -gt 0 ] && [ $tries -lt 30 ]; do
		[ $tries -gt 0 ] || say 'It tells the portal what is left to tell …'
		tries=$((tries + 1))
		sleep 1
	done
	stop
	if [ "$(waiting)" -gt 0 ] && [ "$SPOOL" = ask ]; then
		answer=$(ask "The portal does not have $(waiting) parts of recordings yet. Wipe them all the same? [y/N] ")
		if [ "$answer" = y ]; then SPOOL=wipe; else SPOOL=keep; fi
	fi
	[ "$(waiting)" -gt 0 ] || [ "$SPOOL" = keep ] || SPOOL=wipe
	if [ -r "$STATE/node.json" ]; then
		if [ "$SPOOL" = keep ]; then say 'The portal still counts on this node: install it again to tell the rest, or revoke it there.'
		else node leave || say 'The portal could not be told: please revoke the node there.'; fi
	fi
	if [ "$SYSTEMD" = yes ]; then
		systemctl disable --quiet "$NAME" 2>/dev/null || true
		rm -f "$UNIT"
		systemctl daemon-reload
	fi
	rm -rf "$PROGRAMS" "$SETTINGS"
	if [ "$SPOOL" = keep ]; then say "Key and spool stay in $STATE."
	else
		rm -rf "$STATE"
		if [ -z "$ROOT" ]; then userdel "$NAME" 2>/dev/null || true; fi
	fi
	say 'The node is off this machine.'
}

main() {
	umask 022
	options "$@"
	places
	"$WHAT"
}

main "$@"
