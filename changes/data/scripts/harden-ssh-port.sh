# Opens one more port for SSH beside those that are open; with drop_old=yes leaves it alone, once somebody is connected
# by it. A copy is kept and sshd tries the new file first.
config=/etc/ssh/sshd_config
PATH=$PATH:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL
die() { echo "$1" >&2; exit 1; }
command -v sshd >/dev/null || die "sshd is not installed"
sshd -t || die "sshd does not accept its present configuration: mend that first"
systemctl is-active -q ssh.socket 2>/dev/null && die "a socket of systemd holds the port (ssh.socket): do it by hand"
old=$(sshd -T | awk '$1 == "port" { print $2 }' | sort -un)
port=$PARAM_PORT
if [ "$PARAM_DROP_OLD" = yes ]; then
    echo "$old" | grep -qx "$port" || die "sshd does not listen on $port yet"
    [ "$old" != "$port" ] || { echo "it is so already: nothing was changed"; exit 0; }
    command -v ss >/dev/null || die "ss is not installed: nobody can see who is connected by which port"
    ss -Htn state established "( sport = :$port )" 2>/dev/null | grep -q . ||
        die "nobody is connected by $port: have the platform use it first, or it would be shut out"
    for one in $old; do
        [ "$one" = "$port" ] && continue
        ss -Htn state established "( sport = :$one )" 2>/dev/null | grep -q . &&
            die "somebody is still connected by $one, perhaps this very run: nothing was changed"
    done
    ports=$port
else
    echo "$old" | grep -qx "$port" && { echo "it is so already: nothing was changed"; exit 0; }
    ss -Hltn "( sport = :$port )" 2>/dev/null | grep -q . && die "something else listens on $port"
    ports="$old $port"
fi
copy=$config.rdmp-$(date +%Y%m%d%H%M%S)
cp -p "$config" "$copy" || die "no copy could be kept"
fresh=$(mktemp "$config.new.XXXXXX") || exit 1
trap 'rm -f "$fresh"' EXIT
{
    for one in $ports; do echo "Port $one"; done
    awk 'tolower($1) == "match" { inside = 1 } !inside && tolower($1) == "port" { next } { print }' "$copy"
} > "$fresh"
sshd -t -f "$fresh" || die "sshd does not accept the new configuration: nothing was changed"
for one in $ports; do
    sshd -T -f "$fresh" | grep -qx "port $one" || die "something else decides this (a file that is included)"
done
if [ "$PARAM_DROP_OLD" != yes ]; then
    if command -v semanage >/dev/null && command -v selinuxenabled >/dev/null && selinuxenabled; then
        semanage port -a -t ssh_port_t -p tcp "$port" 2>/dev/null || semanage port -m -t ssh_port_t -p tcp "$port" ||
            die "SELinux does not let sshd have $port: nothing was changed"
    fi
    if command -v firewall-cmd >/dev/null && firewall-cmd --state >/dev/null 2>&1; then
        firewall-cmd -q --permanent --add-port="$port/tcp" && firewall-cmd -q --add-port="$port/tcp" ||
            die "firewalld does not open $port: nothing was changed"
    fi
fi
cat "$fresh" > "$config"
sshd -t || { cat "$copy" > "$config"; die "sshd does not accept it in place: put back"; }
systemctl restart sshd 2>/dev/null || systemctl restart ssh 2>/dev/null || service sshd restart 2>/dev/null ||
    service ssh restart 2>/dev/null || { cat "$copy" > "$config"; die "sshd could not be restarted: put back"; }
echo "ports: $ports"
echo "to undo: cp -p $copy $config && systemctl restart sshd"
