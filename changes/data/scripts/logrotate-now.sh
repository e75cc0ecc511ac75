# Rotates the logs of one file of /etc/logrotate.d now, and says what it did.
file=/etc/logrotate.d/$PARAM_NAME
[ -f "$file" ] || { echo "$file is not there" >&2; exit 1; }
command -v logrotate >/dev/null 2>&1 || { echo "logrotate is not installed" >&2; exit 1; }
logrotate --verbose --force "$file" 2>&1
