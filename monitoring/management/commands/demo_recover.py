"""Ends the demo alarm: the demo customer's service listens again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from monitoring.management.commands.demo_alarm import steer


class Command(BaseCommand):
    help = "Open the demo service's port again; the alert recovers by itself after three good checks."

    def handle(self, *args: object, **options: Any) -> None:
        steer(closed_until=0)
        self.stdout.write("The port listens again. After three good checks the alert recovers by itself.")
