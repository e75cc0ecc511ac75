"""`manage.py bootstrap`: what a fresh installation needs before anybody can sign in. Safe to repeat."""

import json
import secrets
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone

from accounts import audit, scope
from accounts.models import Role, User
from accounts.services import calendars
from rdmp import environment as env

SIGN_IN_FILE = "sign-in.json"


class Command(BaseCommand):
    help = "Create the first administrator and the 5x8 calendar; with RDMP_DEMO also the demo customers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print how to sign in as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        with scope.platform("bootstrap"), transaction.atomic():
            calendars.seed_default(years=range(now.year - 1, now.year + 2), now=now)
            self._first_admin()
        if settings.DEMO:
            call_command("demo")
        sign_in = _known_sign_in()
        if options["json"]:
            self.stdout.write(json.dumps({"people": sign_in}, ensure_ascii=False))
        else:
            for entry in sign_in:
                self.stdout.write(f"{entry['email']}  {entry['password']}")

    def _first_admin(self) -> None:
        if User.objects.filter(role=Role.ADMIN).exists():
            return
        email = env.text("RDMP_ADMIN_EMAIL", "admin@rdmp.example")
        password = env.secret("RDMP_ADMIN_PASSWORD") or secrets.token_urlsafe(12)
        admin = User.objects.create_user(email, password, name=str(Role.ADMIN.label), role=Role.ADMIN)
        EmailAddress.objects.create(user=admin, email=admin.email, verified=True, primary=True)
        audit.record(action="person.bootstrap", actor=None, customer=None, obj=admin, now=timezone.now())
        remember_sign_in(admin, password)


def remember_sign_in(person: User, password: str) -> None:
    """Keep a generated password where only the operator reads it, so that a later start can say it again."""
    path = Path(settings.STATE_DIR) / SIGN_IN_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [
        *_known_sign_in(),
        {"role": person.role, "email": person.email, "name": person.name, "password": password},
    ]
    path.touch(mode=0o600)
    path.write_text(json.dumps(entries, ensure_ascii=False, indent=1), encoding="utf-8")


def _known_sign_in() -> list[dict[str, str]]:
    path = Path(settings.STATE_DIR) / SIGN_IN_FILE
    if not path.exists():
        return []
    entries: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return entries
