# Takes from group and others what they must not have on the files on which rights hang. Says how each was before.
PATH=$PATH:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL
tighten() { # rights to take away, file
    [ -f "$2" ] || return 0
    before=$(stat -L -c '%a' "$2")
    chmod "$1" "$2" || { echo "$2 could not be changed" >&2; failed=1; return 0; }
    after=$(stat -L -c '%a' "$2")
    [ "$before" = "$after" ] || echo "$2: $before -> $after (to undo: chmod $before $2)"
}
failed=
for file in /etc/passwd /etc/group /etc/crontab /etc/ssh/sshd_config; do tighten go-w "$file"; done
for file in /etc/shadow /etc/gshadow; do tighten g-wx,o-rwx "$file"; done
for file in /etc/sudoers /etc/sudoers.d/*; do tighten g-wx,o-rwx "$file"; done
for file in /etc/ssh/ssh_host_*_key; do tighten g-wx,o-rwx "$file"; done
for file in /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys; do tighten go-w "$file"; done
[ -z "$failed" ] || exit 1
echo "done"
