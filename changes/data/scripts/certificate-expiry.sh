# When the certificate that a port shows ends.
command -v openssl >/dev/null 2>&1 || { echo "openssl is not installed" >&2; exit 1; }
shown=$(openssl s_client -connect "$PARAM_HOST:$PARAM_PORT" -servername "$PARAM_HOST" </dev/null 2>/dev/null) || true
printf '%s\n' "$shown" | openssl x509 -noout -subject -issuer -enddate || { echo "no certificate was shown" >&2; exit 1; }
