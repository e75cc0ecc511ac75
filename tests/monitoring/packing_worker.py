"""A packer of its own process, for the test that kills one: ends itself by SIGKILL before or after a function."""

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import django


def main(place: str, when: str, now: str) -> None:
    django.setup()
    from monitoring import archive, packing  # noqa: PLC0415 - Django must be set up first
    from monitoring.services import packer  # noqa: PLC0415 - as above

    module_name, name = place.split(".")
    module = {"archive": archive, "packing": packing}[module_name]
    setattr(module, name, deadly(getattr(module, name), when))
    packer.run(now=datetime.fromisoformat(now))


def deadly(work: Callable[..., Any], when: str) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            work(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    return run


if __name__ == "__main__":
    main(*sys.argv[1:])
