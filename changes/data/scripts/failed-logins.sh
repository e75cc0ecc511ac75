# Failed log-ins of the last days, by account and address, from the journal or, without one, the log of sshd.
since=$(date -d "$PARAM_DAYS days ago" '+%Y-%m-%d' 2>/dev/null) || since=
journal() { journalctl -q --no-pager -t sshd -t sshd-session "$@" 2>/dev/null; }
if [ -n "$(journal -n 1)" ]; then
    journal ${since:+--since "$since"}
else # the same lines stand in both where both are kept
    for file in /var/log/auth.log /var/log/secure; do
        [ -r "$file" ] && cat "$file"
    done
fi | awk '
    !/Failed (password|publickey|none)|Invalid user/ { next }
    {
        session = match($0, /\[[0-9]+\]/) ? substr($0, RSTART, RLENGTH) : NR
        said = $0
        sub(/.*([Ii]nvalid user |for )/, "", said)
        split(said, part, " from ")
        sub(/ .*/, "", part[2])
        key = part[1] " " part[2]
    }
    /Failed / { failed[session] = 1; count[key]++; next }
    { unknown[session] = key } # sshd says so before each word that such an account fails with
    END {
        for (session in unknown) if (!(session in failed)) count[unknown[session]]++
        for (key in count) printf "%7d %s\n", count[key], key
    }' | sort -rn | head -n 50
echo "end of list"
