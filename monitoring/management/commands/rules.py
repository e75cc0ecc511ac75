"""`manage.py rules`: the alert rules, the SOW's text beside what is evaluated. Needs no database."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from monitoring.rules import SOW_RULES, as_json


class Command(BaseCommand):
    help = "Print the alert rules: as the SOW writes them, and as they are evaluated."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own declaration
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="for machines: a list of objects")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["json"]:
            self.stdout.write(json.dumps([as_json(rule) for rule in SOW_RULES.values()], ensure_ascii=False, indent=2))
            return
        for rule in SOW_RULES.values():
            mark = "" if rule.enabled else " [off]"
            self.stdout.write(f"{rule.id}{mark}: {rule.product} / {rule.name_zh}")
            self.stdout.write(f"    SOW: {rule.sow.text}")
            conditions = " & ".join(map(str, rule.conditions))
            self.stdout.write(f"    {rule.severity}: {conditions}, {rule.times} x {rule.period_s} s")
