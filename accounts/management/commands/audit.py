"""`manage.py audit verify`: walk every hash chain of the audit log and name what does not hold."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import audit, scope
from accounts.models import Customer


class Command(BaseCommand):
    help = "Verify the audit log: finds changed, missing and reordered entries."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=["verify"])

    def handle(self, *args: Any, **options: Any) -> None:
        with scope.platform("audit verify"):
            chains: list[Customer | None] = [None, *Customer.objects.all()]
            faults: list[audit.Fault] = []
            for customer in chains:
                head = audit.head(None if customer is None else customer.pk)
                self.stdout.write(f"{customer or 'platform'}: {head.sequence} entries, head {head.hash}")
                faults += audit.verify(None if customer is None else customer.pk)
        for fault in faults:
            self.stderr.write(f"customer {fault.customer_id or '-'}, entry {fault.sequence}: {fault.what}")
        if faults:
            raise CommandError(f"{len(faults)} faults in the audit log")
        self.stdout.write(self.style.SUCCESS("The audit log holds."))
