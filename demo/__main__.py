"""`python -m demo`: what the demo customers need around them, in one process, until it is stopped.

The TCP service whose port can be closed, the simulated Alibaba Cloud, and the simulated DingTalk and WeCom robots.
"""

import os
import signal
import sys
from pathlib import Path

from demo.aliyun.cloud import demo_cloud
from demo.aliyun.server import CloudServer
from demo.cast import CUSTOMERS, robot_secret
from demo.robots import Robots
from demo.service import Service


def port(name: str) -> int:
    return int(os.environ[name])


def main() -> int:
    state_dir = Path(os.environ["RDMP_STATE_DIR"])
    service = Service("127.0.0.1", port("RDMP_DEMO_PORT"), state_dir)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    try:
        with (
            CloudServer(demo_cloud(), port=port("RDMP_DEMO_CLOUD_PORT")),
            Robots(port=port("RDMP_DEMO_ROBOTS_PORT")) as robots,
        ):
            for customer in CUSTOMERS:
                robots.add_dingtalk(customer.robot, secret=robot_secret(customer.robot))
            service.run()
    except OSError as error:
        print(f"The demo cannot listen: {error.strerror or error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
