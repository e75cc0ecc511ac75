# File systems with their use, those short of inodes, and the largest directories below one.
df -hPT -x tmpfs -x devtmpfs 2>/dev/null || df -hP
echo
df -iP 2>/dev/null | awk 'NR == 1 || $5 + 0 >= 80'
if [ -n "$PARAM_PATH" ]; then
    echo
    du -xh --max-depth=2 -- "$PARAM_PATH" 2>/dev/null | sort -rh | head -n 20
fi
