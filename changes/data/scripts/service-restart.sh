# Restarts one service, and fails unless it runs afterwards.
if command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then
    systemctl restart -- "$PARAM_SERVICE" || exit 1
    sleep 2
    systemctl --no-pager --lines=10 status -- "$PARAM_SERVICE"
    systemctl is-active --quiet -- "$PARAM_SERVICE"
else
    service "$PARAM_SERVICE" restart || exit 1
    sleep 2
    service "$PARAM_SERVICE" status
fi
