"""``python -m demo.aliyun --port N``: the simulated Alibaba Cloud of the demo customers, until interrupted."""

import argparse
import contextlib
import signal
import sys

from demo.aliyun.cloud import READ_ONLY, demo_cloud
from demo.aliyun.server import CONTROL_HEADER, CONTROL_PATH, CloudServer


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo.aliyun", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    port = parser.parse_args().port
    try:
        server = CloudServer(demo_cloud(), port=port)
    except OSError as error:
        print(f"The simulated Alibaba Cloud cannot listen on port {port}: {error.strerror}.", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), server:
        print(f"SIMULATED Alibaba Cloud on {server.url}", flush=True)
        print(f"  AccessKey (read-only): {READ_ONLY.access_key_id} / {READ_ONLY.access_key_secret}", flush=True)
        print(f"  control: curl -H '{CONTROL_HEADER}: 1' {server.url}{CONTROL_PATH}calls", flush=True)
        server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
