"""`manage.py recordings verify|export|keys|rotate-key|rewrap`: what is kept of sessions, checked and handed out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import scope
from bastion.models import BastionSession, FileCopyPart, PortalKey, RecordingPiece, RecordingPurge
from bastion.services import countersigning, exporting, keeping, verifying
from bastion.services.searching import since


class Command(BaseCommand):
    help = "Verify recordings of the bastion, export evidence, show or change the key that signs them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=["verify", "export", "keys", "rotate-key", "rewrap"])
        parser.add_argument("--session", default="", help="identifier of one session")
        parser.add_argument("--since", default="", help="sessions allowed since this day")
        parser.add_argument(
            "--public-key", action="append", help="trust only this public key of the portal (base64); may be repeated"
        )
        parser.add_argument("--to", default="", help="the file that `export` writes")

    def handle(self, *args: Any, **options: Any) -> None:
        verbs = {
            "verify": self._verify,
            "export": self._export,
            "keys": self._keys,
            "rotate-key": self._rotate,
            "rewrap": self._rewrap,
        }
        with scope.platform(f"recordings {options['verb']}"):
            verbs[options["verb"]](options)

    def _verify(self, options: dict[str, Any]) -> None:
        trusted = set(options["public_key"] or verifying.portal_keys())
        for key in sorted(trusted):
            self.stdout.write(f"portal key {key}")
        count, broken, now = 0, 0, timezone.now()
        for session in self._sessions(options, verifying.recorded(now=now)).iterator(chunk_size=100):
            verdict = verifying.verify(session, trusted=trusted, now=now)
            count += 1
            broken += not verdict.is_good
            self.stdout.write(verdict.words)
            for flaw in verdict.findings.flaws:
                self.stderr.write(f"{session.uid}  piece {flaw.number}: {flaw.flaw}: {flaw.words}")
        if broken:
            raise CommandError(f"{broken} of {count} recordings are not what was recorded")
        self.stdout.write(self.style.SUCCESS(f"{count} recordings are intact."))

    def _export(self, options: dict[str, Any]) -> None:
        if not options["session"] or not options["to"]:
            raise CommandError("name one session with --session and a file with --to")
        kept = BastionSession.objects.joined().filter(pk__in=RecordingPiece.objects.values("session"))
        session = self._sessions(options, kept).get()
        exporting.write_export(session=session, person=None, now=timezone.now())
        with Path(options["to"]).open("xb") as file:
            file.writelines(exporting.bundle(session))
        self.stdout.write(options["to"])

    def _keys(self, options: dict[str, Any]) -> None:
        for key in PortalKey.objects.filter(customer=None):
            until = f"until {key.retired_at:%F}" if key.retired_at else "in force"
            self.stdout.write(f"{key.public_key}  {key.fingerprint}  since {key.made_at:%F}, {until}")

    def _rotate(self, options: dict[str, Any]) -> None:
        key = countersigning.rotate(actor=None, now=timezone.now())
        self.stdout.write(f"{key.public_key}  {key.fingerprint}  in force")

    def _rewrap(self, options: dict[str, Any]) -> None:
        """After `secrets rotate`: what was sealed on its own, under the primary master key."""
        count, gone = 0, 0
        for model in (RecordingPiece, FileCopyPart):
            rows = model.objects.exclude(session__in=RecordingPurge.objects.values("session"))
            for kept in rows.select_related("session").order_by("pk").iterator(chunk_size=500):
                try:
                    count += keeping.rewrap(kept)
                except keeping.Gone as problem:
                    gone += 1
                    self.stderr.write(f"{kept.session.uid}  piece {kept.number}: {problem}")
        self.stdout.write(f"{count} pieces were wrapped anew")
        if gone:
            raise CommandError(f"{gone} pieces could not be opened")

    def _sessions(self, options: dict[str, Any], rows: Any) -> Any:
        if options["session"]:
            try:
                rows = rows.filter(uid=options["session"])
            except ValidationError:
                raise CommandError(f"{options['session']} is no identifier of a session") from None
            if not rows.exists():
                raise CommandError(f"nothing is kept of session {options['session']}")
        if options["since"]:
            day = since(options["since"])
            if day is None:
                raise CommandError(f"{options['since']} is no day, as 2026-03-02")
            rows = rows.filter(allowed_at__gte=day)
        return rows.order_by("allowed_at", "pk")
