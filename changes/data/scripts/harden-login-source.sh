# Lets sshd accept log-ins from these addresses alone. Refuses unless every present connection comes from one of them:
# the one that runs this among them. A copy is kept and sshd tries the new file first.
config=/etc/ssh/sshd_config
PATH=$PATH:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL
die() { echo "$1" >&2; exit 1; }
command -v sshd >/dev/null || die "sshd is not installed"
command -v ss >/dev/null || die "ss is not installed: nobody can tell from where this connection comes"
sshd -t || die "sshd does not accept its present configuration: mend that first"
echo "$PARAM_ADDRESSES" | grep -qE '^[0-9A-Fa-f.:/ ]+$' || die "addresses and networks only, with blanks between"
grep -qiE '^[[:space:]]*(AllowUsers|DenyUsers|AllowGroups|DenyGroups)[[:space:]]' "$config" /etc/ssh/sshd_config.d/*.conf 2>/dev/null &&
    die "there is an AllowUsers, DenyUsers or the like already: a person changes that"
set -f
lines=
for one in $PARAM_ADDRESSES; do lines="${lines}AllowUsers *@$one
"; done
ports=$(sshd -T | awk '$1 == "port" { print $2 }' | sort -un)
for port in $ports; do
    for peer in $(ss -Htn state established "( sport = :$port )" | awk '{ print $NF }'); do
        address=$(echo "${peer%:*}" | sed -e 's/^\[//' -e 's/\]$//' -e 's/^::ffff://' -e 's/%.*//')
        there=
        for one in $PARAM_ADDRESSES; do [ "$one" = "$address" ] && there=yes; done
        [ -n "$there" ] || die "$address is connected and not among the addresses: it would be shut out"
        seen=yes
    done
done
[ -n "$seen" ] || die "no connection was found: nobody can tell whether this one would be shut out"
copy=$config.rdmp-$(date +%Y%m%d%H%M%S)
cp -p "$config" "$copy" || die "no copy could be kept"
fresh=$(mktemp "$config.new.XXXXXX") || exit 1
trap 'rm -f "$fresh"' EXIT
{ printf '%s' "$lines"; cat "$copy"; } > "$fresh"
sshd -t -f "$fresh" || die "sshd does not accept the new configuration: nothing was changed"
cat "$fresh" > "$config"
sshd -t || { cat "$copy" > "$config"; die "sshd does not accept it in place: put back"; }
systemctl reload sshd 2>/dev/null || systemctl reload ssh 2>/dev/null || service sshd reload 2>/dev/null ||
    service ssh reload 2>/dev/null || { cat "$copy" > "$config"; die "sshd could not be reloaded: put back"; }
printf '%s' "$lines"
echo "to undo: cp -p $copy $config && systemctl reload sshd"
