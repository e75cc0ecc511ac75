"""Prints what the worker of a probe point elsewhere is started with."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from monitoring.services import rounds


class Command(BaseCommand):
    help = "The key of a probe point, and the line that gives it a user of its own in Redis."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("location", help="its name in RDMP_PROBE_POINTS")

    def handle(self, *_args: Any, location: str, **_options: Any) -> None:
        place = rounds.locations().get(location)
        if place is None or place.is_local:
            raise CommandError(f"{location} is no probe point elsewhere in RDMP_PROBE_POINTS")
        self.stdout.write(f"RDMP_PROBE_LOCATION={location}\nRDMP_PROBE_KEY={rounds.key_of(location)}")
        keys = f"~q:{place.queue}* ~q:probe-results* ~q:_kombu* ~q:unacked*{location}*"
        self.stdout.write(f"ACL SETUSER probe-{location} on >PASSWORD resetkeys {keys} &* +@all -@admin -@dangerous")
