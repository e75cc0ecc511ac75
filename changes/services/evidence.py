"""What proves a gate: a test on something that is not production, a backup, the customer's procedure, a checklist."""

from __future__ import annotations

import hashlib
import re
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
from changes.models import BackupRecord, Change, ChangeFile, CheckRecord, TestRecord
from changes.permissions import side_of
from changes.services import following, restores
from changes.services.facts import NOT_PRODUCTION
from changes.services.marks import Kind, allowed, finish, hold, required
from changes.states import Side, Verb
from incidents.services.storing import judge_file

SHA256: Final = re.compile(r"[0-9a-f]{64}")
REFERENCES: Final = {
    BackupRecord.Method.SNAPSHOT: re.compile(r"s-[a-z0-9]{6,40}"),
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
    if asset.environment not in NOT_PRODUCTION:
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
    asset: Asset,
    method: str,
    reference: str,
    sha256: str,
    taken_at: datetime,
    actor: User,
    now: datetime,
) -> BackupRecord:
    """Where the backup of one asset lies: snapshot or backup set by its ID, a file by path and checksum (R87)."""
    change = hold(change)
    allowed(Verb.RECORD_BACKUP, change, actor)
    if not change.touched.filter(asset=asset).exists():
        raise DomainError(_("The change does not touch “%(name)s”.") % {"name": asset.name}, code="other_asset")
    way, reference, sha256 = BackupRecord.Method(method), reference.strip(), sha256.strip().lower()
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
    data = {"asset": asset.name, "method": way.value, "reference": reference, "sha256": sha256}
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
    verdict = judge_file(file)
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    stored = default_storage.save(f"changes/{change.customer_id}/{uuid4().hex}", file)
    try:
        kept = ChangeFile.objects.create(
            customer_id=change.customer_id,
            change=change,
            purpose=kind,
            name=verdict.name,
            content_type=verdict.content_type,
            size=file.size or 0,
            sha256=digest.hexdigest(),
            stored_name=stored,
            at=now,
            by=actor,
        )
        data = {"name": kept.name, "purpose": kind.value, "sha256": kept.sha256}
        finish(change, Kind.FILE, actor=actor, now=now, data=data)
        following.go_on(change, now=now)
    except BaseException:  # whatever went wrong, no byte stays behind without its row
        default_storage.delete(stored)
        raise
    return kept


@transaction.atomic
def check(*, change: Change, code: str, words: str, actor: User, now: datetime) -> CheckRecord:
    """A point of the checklist was looked at. Doing it twice changes nothing."""
    change = hold(change)
    allowed(Verb.CHECK, change, actor)
    entry = change.catalogue_entry
    if entry is None or code not in {each.code for each in entry.checklist}:
        raise DomainError(_("The checklist has no such point."), code="no_check")
    known = CheckRecord.objects.filter(change=change, code=code).first()
    if known is not None:
        return known
    if code == restores.POINT:
        restores.must_be_recorded(change)
    record = CheckRecord.objects.create(
        customer_id=change.customer_id, change=change, code=code, at=now, by=actor, words=words.strip()[:500]
    )
    finish(change, Kind.CHECKED, actor=actor, now=now, body=record.words, data={"code": code})
    return record


def _complaint(method: BackupRecord.Method) -> str:
    if method is BackupRecord.Method.SNAPSHOT:
        return _("A snapshot ID looks like s-bp1abc2def3. Nothing was saved: please correct it.")
    if method is BackupRecord.Method.DATABASE:
        return _("Please give the ID of the backup set.")
    return _("Please give the whole path of the file, beginning with /, a drive or oss://.")
