"""`manage.py secrets rotate`: seal every secret with the first configured key, so that older keys can be taken away."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import scope, secrets
from accounts.vault import VaultError


class Command(BaseCommand):
    help = "Seal every secret with the primary key of RDMP_MASTER_KEYS."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=["rotate", "check"])

    def handle(self, *args: Any, **options: Any) -> None:
        with scope.platform(f"secrets {options['verb']}"):
            try:
                unknown = secrets.unknown_keys()
                if unknown:
                    raise CommandError(f"RDMP_MASTER_KEYS lacks {', '.join(sorted(unknown))}: nothing was changed")
                if options["verb"] == "check":
                    self.stdout.write("Every secret opens with a configured key.")
                    return
                count = secrets.rotate(now=timezone.now())
            except VaultError as problem:
                raise CommandError(f"{problem}: nothing was changed") from None
        self.stdout.write(self.style.SUCCESS(f"{count} secrets are now sealed with {secrets.key_ring().primary}."))
