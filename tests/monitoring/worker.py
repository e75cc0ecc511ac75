"""A poller of its own process, for the test that kills one: claims what is due and collects it."""

import django
from django.utils import timezone


def main() -> None:
    django.setup()
    from accounts import scope  # noqa: PLC0415 - Django must be set up first
    from monitoring.services import claims, poll  # noqa: PLC0415 - as above

    with scope.platform("test worker"):
        works = claims.claim(now=timezone.now())
    for work in works:
        with scope.customer(work.customer_id):
            poll.collect(work)


if __name__ == "__main__":
    main()
