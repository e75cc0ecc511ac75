# What a Linux server says about itself, section by section, for the hardening checks. It only reads.
# Every line of content begins with a blank, so that nothing a file or program says can pass for a mark.
# A section ends with 77 where rights are missing and with 78 where the program is not there.
LC_ALL=C; PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL PATH
DENIED=77; ABSENT=78; MOST=24000
have() { command -v "$1" >/dev/null 2>&1; }
limited() { seconds=$1; shift; if have timeout; then timeout -k 2 "$seconds" "$@"; else "$@"; fi; }
is_root() { [ "$(id -u)" = 0 ]; }
section() {
    name=$1; shift
    echo "#begin $name"
    { code=$( { { "$@" 2>/dev/null </dev/null; echo $? >&3; } | head -c "$MOST" | sed 's/^/ /' >&4; } 3>&1 ); } 4>&1
    printf '\n#end %s %s\n' "$name" "$code"
}
named() { # each file that is there, with its name
    for file in "$@"; do
        [ -f "$file" ] || continue
        echo "@$file"
        [ -r "$file" ] && cat "$file" && echo
    done
}
settings() { named "$@" | sed -e 's/^[[:space:]]*//' -e '/^#/d' -e '/^$/d'; }

clock() { date +%s; date +%z; }
system() { cat /etc/os-release 2>/dev/null || cat /etc/redhat-release; echo "@kernel"; uname -r; }
rights() { id -u; id -un; }
accounts() { cut -d: -f1,3,4,6,7 /etc/passwd; }
shadow() {
    [ -r /etc/shadow ] || return $DENIED
    awk -F: '{
        word = $2; kind = "set"; hash = ""
        if (word == "") kind = "empty"; else if (word ~ /^[!*]/) kind = "locked"
        if (kind == "set" && word ~ /^\$/) { split(word, part, "$"); hash = part[2] }
        print $1 ":" kind ":" hash ":" $3 ":" $4 ":" $5
    }' /etc/shadow
}
sudo_rights() {
    have sudo || return $ABSENT
    is_root || return $DENIED
    sudo -n -l -U root >/dev/null 2>&1 || return 1
    awk -F: '$7 !~ /(nologin|false|sync|shutdown|halt)$/ && $1 != "root" { print $1 }' /etc/passwd | head -n 80 |
        while read -r user; do
            echo "@$user"
            limited 5 sudo -n -l -U "$user" | sed -n '/may run\|not allowed/,$p' | head -n 12
        done
    for user in trops xxadmin www; do
        grep -q "^$user:" /etc/passwd || continue
        echo "@$user"
        limited 5 sudo -n -l -U "$user" | sed -n '/may run\|not allowed/,$p' | head -n 12
    done
}
sshd_effective() {
    have sshd || return $ABSENT
    is_root || return $DENIED
    limited 10 sshd -T
}
sshd_for_root() { # what holds for root from an address of nobody's (RFC 5737)
    have sshd || return $ABSENT
    is_root || return $DENIED
    limited 10 sshd -T -C user=root,host=192.0.2.1,addr=192.0.2.1
}
sshd_matches() {
    [ -r /etc/ssh/sshd_config ] || return $DENIED
    for file in /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf; do
        [ -r "$file" ] && grep -niE '^[[:space:]]*match[[:space:]]' "$file" | sed "s|^|$file:|"
    done
    return 0
}
sshd_programs() { # those that listen with a configuration of their own
    ps -eo args | grep -E '^[^ ]*sshd( |$)' | head -n 10
    return 0
}
banner() {
    is_root || return $DENIED
    have sshd || return $ABSENT
    said=$(limited 10 sshd -T) || return 1
    file=$(echo "$said" | awk '$1 == "banner" { print $2 }')
    echo "@${file:-none}"
    case $file in /*) head -c 1500 "$file" ;; esac
    return 0
}
login_defs() { settings /etc/login.defs; }
pam() {
    settings /etc/pam.d/common-password /etc/pam.d/system-auth /etc/pam.d/password-auth | grep -E '^@|^password'
    settings /etc/security/pwquality.conf /etc/security/pwquality.conf.d/*.conf /etc/security/pwhistory.conf
}
ports() {
    if have ss; then ss -lntup; elif have netstat; then netstat -lntup; else return $ABSENT; fi
}
hosts_access() {
    settings /etc/hosts.allow /etc/hosts.deny
    echo "@libwrap"
    ldd "$(command -v sshd)" 2>/dev/null | grep -c libwrap
}
packet_filter() {
    is_root || return $DENIED
    have iptables || { have nft && echo "@nft" && limited 5 nft list ruleset; return $ABSENT; }
    echo "@ipv4"; limited 5 iptables -S || return 1
    echo "@ipv6"; limited 5 ip6tables -S
    echo "@firewalld"; have firewall-cmd && limited 5 firewall-cmd --state
    return 0
}
time_sync() {
    found=
    have timedatectl && { echo "@timedatectl"; limited 5 timedatectl; found=1; }
    have chronyc && { echo "@chronyc"; limited 5 chronyc -n tracking; found=1; }
    have ntpq && { echo "@ntpq"; limited 5 ntpq -pn; found=1; }
    [ -n "$found" ] || return $ABSENT
    return 0
}
updates() {
    if have apt-get; then
        echo "@apt"
        lists=$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -printf '%T@\n' | sort -rn | head -n 1)
        echo "@age ${lists%.*} $(date +%s)"
        limited 40 apt-get -s -o Debug::NoLocking=true upgrade | grep '^Inst '
        return 0
    fi
    tool=$(command -v dnf || command -v yum) || return $ABSENT
    echo "@yum"
    limited 40 "$tool" -q check-update </dev/null; code=$?
    [ $code = 0 ] || [ $code = 100 ] || return 1
    echo "@security"
    limited 40 "$tool" -q updateinfo list security </dev/null || echo "@none"
    return 0
}
modes() {
    is_root || return $DENIED
    for file in /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/sudoers /etc/sudoers.d/* /etc/ssh/sshd_config \
        /etc/ssh/ssh_host_*_key /etc/crontab /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys; do
        [ -e "$file" ] && stat -L -c '%a %U %G %n' "$file"
    done
    return 0
}
world_writable() {
    is_root || return $DENIED
    limited 20 find /etc /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin -xdev -type f -perm -0002 | head -n 50
}
services() {
    have systemctl || return $ABSENT
    limited 10 systemctl list-unit-files --no-pager --no-legend --state=enabled --type=service,socket | awk '{ print $1 }'
}

section clock clock
section system system
section rights rights
section accounts accounts
section shadow shadow
section sudo sudo_rights
section sshd sshd_effective
section sshd_root sshd_for_root
section sshd_matches sshd_matches
section sshd_programs sshd_programs
section banner banner
section login_defs login_defs
section pam pam
section ports ports
section hosts_access hosts_access
section packet_filter packet_filter
section time_sync time_sync
section modes modes
section world_writable world_writable
section services services
section updates updates
echo "#over"
