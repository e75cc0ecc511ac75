# Updates that wait; the lists of packages are read as they are, nothing is installed.
only=$PARAM_ONLY_SECURITY
if command -v apt-get >/dev/null 2>&1; then
    found=$(apt-get -s -o Debug::NoLocking=1 upgrade) || exit 1
    printf '%s\n' "$found" | grep '^Inst ' | if [ "$only" = yes ]; then grep -i security; else cat; fi
elif command -v dnf >/dev/null 2>&1; then
    if [ "$only" = yes ]; then dnf -q updateinfo list --security; else dnf -q check-update; [ $? -ne 1 ]; fi
elif command -v yum >/dev/null 2>&1; then
    if [ "$only" = yes ]; then yum -q updateinfo list security; else yum -q check-update; [ $? -ne 1 ]; fi
else
    echo "neither apt, dnf nor yum is installed" >&2
    exit 1
fi
echo "end of list"
