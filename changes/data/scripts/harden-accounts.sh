# trops and xxadmin with sudo, www without (annex 1, 2.1): makes what is missing and takes nothing away. New accounts have
# no password; sudo comes by files of their own, which visudo has to accept.
PATH=$PATH:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL
die() { echo "$1" >&2; exit 1; }
command -v sudo >/dev/null || die "sudo is not installed: install it first"
for name in trops xxadmin www; do
    grep -q "^$name:" /etc/passwd && continue
    shell=/bin/bash
    [ "$name" = www ] && shell=$(command -v nologin || echo /usr/sbin/nologin)
    if grep -q "^$name:" /etc/group; then useradd -m -s "$shell" -g "$name" "$name"; else useradd -m -s "$shell" "$name"; fi ||
        die "$name could not be made"
    echo "made: $name (to undo: userdel $name)"
done
mkdir -p /etc/sudoers.d
for name in trops xxadmin; do
    if sudo -n -l -U "$name" 2>/dev/null | grep -q 'may run'; then
        echo "$name has sudo already"
        continue
    fi
    file=/etc/sudoers.d/rdmp-$name
    fresh=$(mktemp /etc/sudoers.d/.rdmp.XXXXXX) || exit 1
    echo "$name ALL=(ALL) $([ "$name" = trops ] && echo 'NOPASSWD: ')ALL" > "$fresh"
    chmod 440 "$fresh"
    visudo -q -cf "$fresh" >/dev/null || { rm -f "$fresh"; die "visudo does not accept the rule: nothing was changed"; }
    mv "$fresh" "$file"
    visudo -q -c >/dev/null || { rm -f "$file"; die "visudo does not accept all rules together: put back"; }
    echo "sudo: $name (to undo: rm $file)"
done
