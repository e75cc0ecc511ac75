# The log-ins that a Linux server has written down since PARAM_SINCE (seconds of the epoch): journal, files, wtmp.
# Every line of content begins with a blank, as in collect.sh. It only reads.
LC_ALL=C; PATH=$PATH:/usr/sbin:/sbin; export LC_ALL PATH
DENIED=77; ABSENT=78; MOST=300000
have() { command -v "$1" >/dev/null 2>&1; }
limited() { seconds=$1; shift; if have timeout; then timeout -k 2 "$seconds" "$@"; else "$@"; fi; }
section() {
    name=$1; shift
    echo "#begin $name"
    { code=$( { { "$@" 2>/dev/null </dev/null; echo $? >&3; } | head -c "$MOST" | sed 's/^/ /' >&4; } 3>&1 ); } 4>&1
    printf '\n#end %s %s\n' "$name" "$code"
}
clock() { date +%s; date +%z; readlink -f /etc/localtime; cat /etc/timezone 2>/dev/null; return 0; }
journal() { # moment in microseconds, process, words; only what sshd itself has written (_COMM cannot be forged)
    have journalctl || return $ABSENT
    [ "$(id -u)" = 0 ] || id -nG | grep -qwE 'systemd-journal|adm|wheel' || return $DENIED
    limited 40 journalctl -q --no-pager -o export --since "@$PARAM_SINCE" _COMM=sshd + _COMM=sshd-session + _COMM=sshd-auth |
        awk '
            /^__REALTIME_TIMESTAMP=/ { at = substr($0, 22) }
            /^_PID=/ { pid = substr($0, 6) }
            /^MESSAGE=/ { said = substr($0, 9) }
            /^$/ { if (said ~ /^Accepted /) print at " " pid " " said; at = pid = said = "" }
            END { if (said ~ /^Accepted /) print at " " pid " " said }' | tail -n 2000
}
oldest() { # how far back the journal goes
    have journalctl || return $ABSENT
    limited 20 journalctl -q --no-pager -o export | awk '/^__REALTIME_TIMESTAMP=/ { print substr($0, 22); exit }'
    return 0
}
files() {
    found=
    for file in $(ls -t /var/log/auth.log* /var/log/secure* 2>/dev/null | head -n 6); do
        [ -r "$file" ] || { [ -n "$found" ] || found=denied; continue; }
        [ "$(stat -c %Y "$file")" -ge "$PARAM_SINCE" ] || continue
        found=yes
        echo "@$file $(stat -c %Y "$file")"
        case $file in
            *.gz) limited 20 gzip -dc "$file" ;;
            *.xz | *.bz2) echo "@unread $file" ;;
            *) cat "$file" ;;
        esac | grep -aE 'sshd(-session|-auth)?\[[0-9]+\]: Accepted ' | tail -n 3000
    done
    [ "$found" = denied ] && return $DENIED
    return 0
}
wtmp() {
    have last || return $ABSENT
    for file in /var/log/wtmp.1 /var/log/wtmp-* /var/log/wtmp; do
        [ -r "$file" ] || continue
        [ "$(stat -c %Y "$file")" -ge "$PARAM_SINCE" ] || continue
        echo "@$file"
        limited 20 last -i -F -w -n 3000 -f "$file"
    done
    return 0
}
section clock clock
section journal journal
section oldest oldest
section files files
section wtmp wtmp
echo "#over"
