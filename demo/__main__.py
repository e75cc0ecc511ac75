"""`python -m demo`: what the demo customers need around them, in one process, until it is stopped.

The TCP service whose port can be closed, the simulated Alibaba Cloud, the simulated DingTalk and WeCom robots; and in
a process of their own, without any right, the servers behind the bastion.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.aliyun.cloud import demo_cloud
from demo.aliyun.server import CloudServer
from demo.cast import CUSTOMERS, robot_secret
from demo.robots import Robots
from demo.service import Service
from rdmp.embedded.child import die_with_parent


def port(name: str) -> int:
    return int(os.environ[name])


@contextmanager
def servers() -> Iterator[None]:
    """Those of `demo.hosts`; the rest goes on without them."""
    command = [sys.executable, "-m", "demo.hosts"]
    started = subprocess.Popen(command, preexec_fn=die_with_parent(signal.SIGTERM))  # noqa: PLW1509,S603 - our own
    try:
        yield
    finally:
        started.terminate()
        started.wait(10)


def main() -> int:
    state_dir = Path(os.environ["RDMP_STATE_DIR"])
    service = Service("127.0.0.1", port("RDMP_DEMO_PORT"), state_dir)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    try:
        with (
            CloudServer(demo_cloud(), port=port("RDMP_DEMO_CLOUD_PORT")),
            Robots(port=port("RDMP_DEMO_ROBOTS_PORT")) as robots,
            servers(),
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
