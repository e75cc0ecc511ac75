"""A worker of its own process that takes one script run one batch further: for the test that kills it in the middle."""

import sys

import django
from django.utils import timezone


def main(customer_id: int, run_id: int) -> None:
    django.setup()
    from accounts import scope  # noqa: PLC0415 - Django must be set up first
    from changes.services import script_running  # noqa: PLC0415 - as above

    with scope.customer(customer_id):
        script_running.advance(run_id=run_id, clock=timezone.now)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
