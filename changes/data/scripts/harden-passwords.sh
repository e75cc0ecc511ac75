# Passwords: how long they hold for accounts to come, how long and mixed they are, and none empty. Copies are kept.
PATH=$PATH:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL
die() { echo "$1" >&2; exit 1; }
keep() { copy=$1.rdmp-$(date +%Y%m%d%H%M%S); cp -p "$1" "$copy" || die "no copy could be kept"; }
set_value() { # file, name, separator, value
    if grep -qE "^[[:space:]#]*$2[[:space:]=]" "$1"; then
        sed -i -E "0,/^[[:space:]#]*$2[[:space:]=].*/s||$2$3$4|" "$1"
    else
        echo "$2$3$4" >> "$1"
    fi
}
case $PARAM_SETTING in
age)
    file=/etc/login.defs
    [ -f "$file" ] || die "$file is not there"
    keep "$file"
    sed -i -E '/^[[:space:]]*PASS_(MAX_DAYS|MIN_DAYS|WARN_AGE)[[:space:]]/d' "$file"
    printf 'PASS_MAX_DAYS\t90\nPASS_MIN_DAYS\t1\nPASS_WARN_AGE\t14\n' >> "$file"
    grep '^PASS_' "$file"
    echo "to undo: cp -p $copy $file"
    ;;
quality)
    file=/etc/security/pwquality.conf
    grep -qs pam_pwquality /etc/pam.d/common-password /etc/pam.d/system-auth ||
        die "PAM does not call pam_pwquality: install libpam-pwquality or libpwquality first"
    [ -f "$file" ] || : > "$file"
    keep "$file"
    set_value "$file" minlen ' = ' 12
    set_value "$file" minclass ' = ' 3
    grep -E '^(minlen|minclass)' "$file"
    echo "to undo: cp -p $copy $file"
    ;;
empty)
    found=$(awk -F: '$2 == "" { print $1 }' /etc/shadow) || die "/etc/shadow cannot be read"
    [ -n "$found" ] || { echo "it is so already: nothing was changed"; exit 0; }
    for name in $found; do
        [ "$name" != root ] || die "root itself has an empty password: a person sets one"
        passwd -l "$name" >/dev/null || usermod -L "$name" || die "$name could not be locked"
        echo "locked: $name (to undo: set a password, then passwd -u $name)"
    done
    ;;
*) die "unknown setting: $PARAM_SETTING" ;;
esac
