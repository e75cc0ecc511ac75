"""`manage.py entry_rules`: list who may enter from where, or take a rule away when nobody reaches the page any more."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import scope
from accounts.models import EntryRule
from accounts.services import entering


class Command(BaseCommand):
    help = "List the rules of entry, or remove one of them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--remove", type=int, metavar="NUMBER")

    def handle(self, *args: Any, **options: Any) -> None:
        with scope.platform("entry_rules"):
            if options["remove"] is not None:
                rule = EntryRule.objects.select_related("customer", "person").filter(pk=options["remove"]).first()
                if rule is None:
                    raise CommandError("There is no such rule.")
                entering.remove(rule=rule, actor=None, now=timezone.now())
                self.stdout.write(self.style.SUCCESS("Removed."))
            for one in EntryRule.objects.select_related("customer", "person"):
                places = ", ".join(one.ranges) or "everywhere"
                door = ", SSH: key and code" if one.needs_key_and_code else ""
                self.stdout.write(f"{one.pk}: {one.customer or 'provider'}, {one}: {places}{door}")
