"""How far the clock is from a time server (SNTP, RFC 4330)."""

import os
import socket
import struct
import sys
import time

SINCE_1900 = 2_208_988_800
NTP = 123
server, port = os.environ["PARAM_SERVER"], int(os.environ["PARAM_PORT"] or NTP)
ask = b"\x1b" + 47 * b"\0"
try:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sent = time.time()
        sock.sendto(ask, (server, port))
        answer, _peer = sock.recvfrom(128)
        came = time.time()
except OSError as problem:
    sys.exit(f"{server} does not answer: {problem}")
whole, part = struct.unpack("!II", answer[40:48])
offset = whole - SINCE_1900 + part / 2**32 - (sent + came) / 2
print(f"{server}: {offset:+.3f} s")
sys.exit(0 if abs(offset) < float(os.environ["PARAM_MOST_S"]) else 1)
