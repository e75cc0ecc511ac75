"""`manage.py demo`: fill a fresh installation with the demo customers. Does nothing when they are there."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import scope
from demo.seed import seed
from rdmp.management.commands.bootstrap import remember_sign_in


class Command(BaseCommand):
    help = "Create the demo customers, their people, and this machine as the first asset."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("The demo belongs into a trial installation: set RDMP_DEMO=1 there.")
        with scope.platform("demo"):
            seed(remember=remember_sign_in, now=timezone.now())
