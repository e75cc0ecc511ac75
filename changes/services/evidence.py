"""What proves a gate or the work: tests, backups, the customer's procedure, checklists with their evidence."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from accounts.models import User
from assets.models import Asset
from changes.catalogue import SNAPSHOT_ID, Check, Type
from changes.models import NOT_PRODUCTION, BackupRecord, Change, ChangeFile, CheckRecord, TestRecord
from changes.permissions import side_of
from changes.services import following, restores
from changes.services.marks import Kind, allowed, finish, hold, required, write
from changes.states import FAILING, Side, Verb
from changes.words import said
from incidents import uploads
from incidents.services.storing import judge_file

SHA256: Final = re.compile(r"[0-9a-f]{64}")
REFERENCES: Final = {
    BackupRecord.Method.SNAPSHOT: SNAPSHOT_ID,
    BackupRecord.Method.DATABASE: re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{3,100}"),
    BackupRecord.Method.FILE: re.compile(r"(/|[A-Za-z]:\\|oss://|file:).{1,400}"),
}
CLOCK_SKEW: Final = timedelta(minutes=1)


@transaction.atomic
def record_test(
    *, change: Change, asset: Asset, has_passed: bool, what: str, tested_at: datetime, actor: User, now: datetime
) -> TestRecord:
    """It was tried elsewhere first. Never on what is production, nor on what nobody knows (附件一 5.2)."""
    change = hold(change)
    allowed(Verb.RECORD_TEST, change, actor)
    if asset.customer_id != change.customer_id:
        raise DomainError(_("One of the assets is not this customer's. Nothing was saved."), code="other_customer")
    if asset.environment not in NOT_PRODUCTION or change.touched.production().filter(asset=asset).exists():
        raise DomainError(
            _("“%(name)s” is production, or nobody knows what it is: nothing is tested there. Nothing was saved.")
            % {"name": asset.name},
            code="production",
        )
    if tested_at > now + CLOCK_SKEW:
        raise DomainError(_("The time lies in the future. Nothing was saved: please correct it."))
    record = TestRecord.objects.create(
        customer_id=change.customer_id,
        change=change,
        asset=asset,
        has_passed=has_passed,
        what=required(what, _("Please write what was tested, and what came of it.")),
        revision=change.revision,
        at=tested_at,
        by=actor,
    )
    data = {"asset": asset.name, "passed": has_passed}
    finish(change, Kind.TEST, actor=actor, now=now, body=record.what, data=data)
    following.go_on(change, now=now)
    return record


@transaction.atomic
def record_backup(
    *,
    change: Change,
    asset: Asset | None,
    method: str,
    reference: str,
    sha256: str,
    taken_at: datetime,
    actor: User,
    now: datetime,
) -> BackupRecord:
    """Where the backup of one asset lies: snapshot or backup set by its ID, a file by path and checksum (R87).

    A change that touches no asset has a file of what it changes: a zone, a policy, a route table. `asset` None.
    """
    change = hold(change)
    allowed(Verb.RECORD_BACKUP, change, actor)
    way, reference, sha256 = BackupRecord.Method(method), reference.strip(), sha256.strip().lower()
    _must_be_touched(change, asset, way)
    if not REFERENCES[way].fullmatch(reference):
        raise DomainError(_complaint(way), code="bad_reference")
    if way is BackupRecord.Method.FILE and not SHA256.fullmatch(sha256):
        raise DomainError(_("Please give the SHA-256 of the file: 64 hexadecimal digits."), code="bad_sum")
    if sha256 and not SHA256.fullmatch(sha256):
        raise DomainError(_("A SHA-256 has 64 hexadecimal digits. Nothing was saved."), code="bad_sum")
    if taken_at > now + CLOCK_SKEW:
        raise DomainError(_("The time lies in the future. Nothing was saved: please correct it."))
    record = BackupRecord.objects.create(
        customer_id=change.customer_id,
        change=change,
        asset=asset,
        method=way,
        reference=reference,
        sha256=sha256,
        taken_at=taken_at,
        recorded_at=now,
        by=actor,
    )
    data = {"asset": "" if asset is None else asset.name, "method": way.value, "reference": reference, "sha256": sha256}
    finish(change, Kind.BACKUP, actor=actor, now=now, data=data)
    following.go_on(change, now=now)
    return record


@transaction.atomic
def attach(*, change: Change, file: UploadedFile[Any], purpose: str, actor: User, now: datetime) -> ChangeFile:
    """Keep a document. The procedure (SOP) is the customer's to give; an engineer may put in what they sent (R151)."""
    change = hold(change)
    allowed(Verb.ATTACH, change, actor)
    kind = ChangeFile.Purpose(purpose)
    if side_of(actor) is Side.CUSTOMER and kind is ChangeFile.Purpose.PLAN:
        raise DomainError(_("The plan is the service provider's."), code="not_yours")
    with _stored(change, [file]) as [stored]:
        kept = _keep(change, file, stored, kind, actor=actor, now=now)
        finish(change, Kind.FILE, actor=actor, now=now, data=_said_of(kept))
        following.go_on(change, now=now)
    return kept


@transaction.atomic
def check(
    *,
    change: Change,
    code: str,
    words: str,
    actor: User,
    now: datetime,
    given: Mapping[str, object] | None = None,
    files: Mapping[str, UploadedFile[Any]] | None = None,
) -> CheckRecord:
    """A point of the checklist was looked at: the operation's own, or, after a failure, of what follows on one.

    `given`: the evidence by the name of its field, a file by the ID that it has here; `files`: those that come with it.
    The same said twice changes nothing; something else is kept beside what was said before, and counts from then on.
    """
    change = hold(change)
    allowed(Verb.CHECK_FAILURE if change.stage in FAILING else Verb.CHECK, change, actor)
    point = next((one for one in change.points if one.code == code), None)
    if point is None:
        raise DomainError(_("The checklist has no such point."), code="no_check")
    if code == restores.POINT:
        restores.must_be_recorded(change)
    files, words = files or {}, words.strip()[:500]
    proof = _proof(change, point, given or {}, files)
    known = checked(change).get(code)
    if known is not None and not files and (known.evidence, known.words) == (proof, words):
        return known
    with _stored(change, files.values()) as stored:
        for (name, file), place in zip(files.items(), stored, strict=True):
            kept = _keep(change, file, place, ChangeFile.Purpose.EVIDENCE, actor=actor, now=now)
            proof[name] = kept.pk
            write(change, Kind.FILE, actor=actor, now=now, data=_said_of(kept))
        record = CheckRecord.objects.create(
            customer_id=change.customer_id, change=change, code=code, at=now, by=actor, words=words, evidence=proof
        )
        finish(change, Kind.CHECKED, actor=actor, now=now, body=words, data={"code": code, "evidence": proof})
    return record


def checked(change: Change) -> dict[str, CheckRecord]:
    """What counts of each point: the newest that was said of it."""
    return {record.code: record for record in change.checks.all()}


def must_be_checked(change: Change) -> None:
    """Raises DomainError while a point has not been looked at, or its evidence is missing."""
    known = checked(change)
    left = [one for one in change.points if one.code not in known or one.lacks(known[one.code].evidence)]
    if left:
        raise DomainError(
            _(
                "%(count)d points of the checklist have not been looked at, or their evidence is missing. Nothing was "
                "changed."
            )
            % {"count": len(left)},
            code="checks_left",
        )


def _proof(
    change: Change, point: Check, given: Mapping[str, object], files: Mapping[str, UploadedFile[Any]]
) -> dict[str, object]:
    """What is kept of the evidence that comes without a file."""
    fields = {field.name: field for field in point.evidence}
    papers = {name for name, field in fields.items() if field.type is Type.FILE}
    proof = {name: value for name, value in given.items() if value not in (None, "")}
    known = list(change.files.values_list("pk", flat=True))
    has_papers = all(proof[name] in known for name in papers & set(proof))
    if not (set(proof) <= set(fields) and set(files) <= papers and has_papers):
        raise DomainError(_("This is no evidence that the point asks for. Nothing was saved."), code="no_evidence")
    if lacking := point.lacks({**proof, **files}):
        raise DomainError(
            _("Please give the evidence: %(names)s. Nothing was saved.")
            % {"names": ", ".join(said(field.words) for field in lacking)},
            code="evidence_missing",
        )
    return proof


def _keep(
    change: Change,
    file: UploadedFile[Any],
    stored: tuple[str, uploads.Verdict, str],
    purpose: ChangeFile.Purpose,
    *,
    actor: User,
    now: datetime,
) -> ChangeFile:
    place, verdict, digest = stored
    return ChangeFile.objects.create(
        customer_id=change.customer_id,
        change=change,
        purpose=purpose,
        name=verdict.name,
        content_type=verdict.content_type,
        size=file.size or 0,
        sha256=digest,
        stored_name=place,
        at=now,
        by=actor,
    )


@contextmanager
def _stored(change: Change, files: Iterable[UploadedFile[Any]]) -> Iterator[list[tuple[str, uploads.Verdict, str]]]:
    """The files in their places: each with its name there, what it is, and its SHA-256.

    Whatever goes wrong inside, no byte stays behind without its row.
    """
    places: list[tuple[str, uploads.Verdict, str]] = []
    try:
        for file in files:
            verdict = judge_file(file)
            digest = hashlib.sha256()
            for chunk in file.chunks():
                digest.update(chunk)
            file.seek(0)
            place = default_storage.save(f"changes/{change.customer_id}/{uuid4().hex}", file)
            places.append((place, verdict, digest.hexdigest()))
        yield places
    except BaseException:
        for place, _verdict, _digest in places:
            default_storage.delete(place)
        raise


def _said_of(kept: ChangeFile) -> dict[str, object]:
    return {"name": kept.name, "purpose": kept.purpose, "sha256": kept.sha256}


def _must_be_touched(change: Change, asset: Asset | None, way: BackupRecord.Method) -> None:
    if asset is not None:
        if not change.touched.filter(asset=asset).exists():
            raise DomainError(_("The change does not touch “%(name)s”.") % {"name": asset.name}, code="other_asset")
        return
    if change.touched.exists():
        raise DomainError(_("Please say which asset was backed up. Nothing was saved."), code="asset_missing")
    if way is not BackupRecord.Method.FILE:
        raise DomainError(
            _("The change touches no asset: please name a file of what it changes. Nothing was saved."),
            code="file_missing",
        )


def _complaint(method: BackupRecord.Method) -> str:
    if method is BackupRecord.Method.SNAPSHOT:
        return _("A snapshot ID looks like s-bp1abc2def3. Nothing was saved: please correct it.")
    if method is BackupRecord.Method.DATABASE:
        return _("Please give the ID of the backup set.")
    return _("Please give the whole path of the file, beginning with /, a drive or oss://.")
