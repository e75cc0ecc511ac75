# Enables the time service that is installed and waits until the clock agrees. Installs nothing.
LC_ALL=C; export LC_ALL
die() { echo "$1" >&2; exit 1; }
command -v systemctl >/dev/null || die "this server has no systemd: a person does it"
for unit in chronyd chrony systemd-timesyncd ntpd ntp; do
    systemctl cat "$unit.service" >/dev/null 2>&1 || continue
    systemctl enable --now "$unit.service" >/dev/null 2>&1 || die "$unit could not be started"
    echo "enabled: $unit (to undo: systemctl disable --now $unit)"
    for _try in 1 2 3 4 5 6 7 8 9 10 11 12; do
        if timedatectl 2>/dev/null | grep -q 'synchronized: yes' || chronyc tracking 2>/dev/null | grep -q 'Normal'; then
            echo "synchronised"
            exit 0
        fi
        sleep 5
    done
    die "$unit runs, and the clock does not agree yet: is a time server reached?"
done
die "no time service is installed: install chrony first"
