"""A running platform for what is tested on all of it at once: nothing in it waits longer than a test can."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from demo.cast import CUSTOMERS, robot_secret
from demo.robots import Robots
from rdmp.embedded.ports import free_port
from tests.e2e.stack import Stack, running

CHECK_PERIOD_S = 1


@dataclass(frozen=True)
class Platform:
    stack: Stack
    robots: Robots


@pytest.fixture(scope="module")
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """The platform as `make run` starts it, and the customers' DingTalk robots, which check the signature.

    One for each module: reading the audit trail every few seconds, as `TRAIL_PERIOD_S` of a module asks, takes the
    collectors' time from another's checks.
    """
    port = free_port()
    ours = {
        "RDMP_CHECK_PERIOD_S": str(CHECK_PERIOD_S),
        "NOTIFY_DINGTALK_BASE": f"http://127.0.0.1:{port}",
        "NOTIFY_ALLOWED_HOSTS": f"127.0.0.1:{port}",
    }
    if trail_period_s := getattr(request.module, "TRAIL_PERIOD_S", None):
        ours["RDMP_TRAIL_PERIOD_S"] = str(trail_period_s)
    with Robots(port=port) as robots:
        for customer in CUSTOMERS:
            robots.add_dingtalk(customer.robot, secret=robot_secret(customer.robot))
        with running(**ours) as stack:
            yield Platform(stack, robots)
