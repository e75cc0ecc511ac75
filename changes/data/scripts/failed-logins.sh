# Failed log-ins of the last days, by account and address, from the journal or the log of sshd.
since=$(date -d "$PARAM_DAYS days ago" '+%Y-%m-%d' 2>/dev/null) || since=
{
    if command -v journalctl >/dev/null 2>&1 && journalctl -n 1 >/dev/null 2>&1; then
        journalctl -q --no-pager -t sshd ${since:+--since "$since"} 2>/dev/null
    fi
    for file in /var/log/auth.log /var/log/secure; do
        [ -r "$file" ] && cat "$file"
    done
} | grep -aE 'Failed (password|publickey|none)|Invalid user' |
    sed -E 's/.*(invalid user |Invalid user |for )([^ ]+) from ([^ ]+).*/\2 \3/' |
    sort | uniq -c | sort -rn | head -n 50
echo "end of list"
