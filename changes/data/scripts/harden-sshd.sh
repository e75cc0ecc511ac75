# Sets one thing in sshd_config: before everything else, where the first value counts. A copy is kept, the new file is
# tried by sshd itself before it takes the old one's place, and nothing is changed that would shut everybody out.
config=/etc/ssh/sshd_config
PATH=$PATH:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL
die() { echo "$1" >&2; exit 1; }
operator=${SUDO_USER:-$(id -un)}
home_of() { awk -F: -v name="$1" '$1 == name { print $6 }' /etc/passwd; }
command -v sshd >/dev/null || die "sshd is not installed"
[ -f "$config" ] || die "$config is not there"
sshd -t || die "sshd does not accept its present configuration: mend that first"

case $PARAM_SETTING in
root-login)
    names="PermitRootLogin"
    [ "$operator" != root ] || die "this log-in is root's own: it would be the last one"
    sudo -n -l -U "$operator" 2>/dev/null | grep -q 'may run' || die "$operator has no sudo: nobody would become root"
    lines="PermitRootLogin no"
    ;;
password-login)
    names="PasswordAuthentication PermitEmptyPasswords KbdInteractiveAuthentication ChallengeResponseAuthentication"
    [ -s "$(home_of "$operator")/.ssh/authorized_keys" ] || die "$operator has no key: it could not log in any more"
    interactive=KbdInteractiveAuthentication
    sshd -T | grep -qi '^kbdinteractiveauthentication ' || interactive=ChallengeResponseAuthentication
    lines=$(printf 'PasswordAuthentication no\nPermitEmptyPasswords no\n%s no' "$interactive")
    ;;
banner)
    names="Banner"
    cat > /etc/ssh/rdmp-banner <<'TEXT'
********************************************************************************
警告：本系统仅限授权人员使用，所有操作均被记录并审计。未经授权请立即退出。
WARNING: for authorised persons only. Everything done here is recorded and
audited. If you are not authorised, leave now.
********************************************************************************
TEXT
    chmod 644 /etc/ssh/rdmp-banner
    lines="Banner /etc/ssh/rdmp-banner"
    ;;
*) die "unknown setting: $PARAM_SETTING" ;;
esac

wanted() { echo "$lines" | while read -r name value; do
    sshd -T -f "$1" | grep -qix "$name $value" || { echo no; break; }
done; }
if [ -z "$(wanted "$config")" ]; then
    echo "it is so already: nothing was changed"
    exit 0
fi
copy=$config.rdmp-$(date +%Y%m%d%H%M%S)
cp -p "$config" "$copy" || die "no copy could be kept"
fresh=$(mktemp "$config.new.XXXXXX") || exit 1
trap 'rm -f "$fresh"' EXIT
{
    echo "$lines"
    awk -v names="$names" '
        BEGIN { count = split(tolower(names), part, " "); for (i = 1; i <= count; i++) ours[part[i]] = 1 }
        tolower($1) == "match" { inside = 1 }
        !inside && (tolower($1) in ours) { next }
        { print }' "$copy"
} > "$fresh"
sshd -t -f "$fresh" || die "sshd does not accept the new configuration: nothing was changed"
[ -z "$(wanted "$fresh")" ] || die "something else decides this (a file that is included): nothing was changed"
cat "$fresh" > "$config"
sshd -t || { cat "$copy" > "$config"; die "sshd does not accept it in place: put back"; }
systemctl reload sshd 2>/dev/null || systemctl reload ssh 2>/dev/null || service sshd reload 2>/dev/null ||
    service ssh reload 2>/dev/null || { cat "$copy" > "$config"; die "sshd could not be reloaded: put back"; }
echo "$lines"
echo "to undo: cp -p $copy $config && systemctl reload sshd"
