# Listening TCP and UDP sockets with their programs; without root the programs of others stay unnamed.
if command -v ss >/dev/null 2>&1; then
    ss -lntup
elif command -v netstat >/dev/null 2>&1; then
    netstat -lntup
else
    echo "neither ss nor netstat is installed" >&2
    exit 1
fi
