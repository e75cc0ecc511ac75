"""The life of a report of any family: written in parts, reviewed, signed, issued again; sending it is `sending`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from celery import current_app
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from incidents import prose
from notify import live
from reports import messages, states
from reports.models import ReportState, WrittenComment, WrittenIssue, WrittenPart, WrittenReport
from reports.permissions import rank_of
from reports.services import families, reaching
from reports.states import State, Verb
from timers import services as timers

LONGEST: Final = 40_000
R = TypeVar("R", bound=WrittenReport)
P = TypeVar("P", bound=WrittenPart)


class ConflictError(DomainError):
    """Somebody else saved the part meanwhile; `part` is what stands there now."""

    def __init__(self, part: WrittenPart) -> None:
        super().__init__(
            _("Somebody else changed this part meanwhile. Your text is still here and theirs was not overwritten."),
            code="changed_meanwhile",
        )
        self.part = part


class ChangedError(DomainError):
    """What would be signed is not what the person was shown."""

    def __init__(self) -> None:
        super().__init__(
            _("The report was changed since this page was shown. Nothing was signed: please read it again."),
            code="changed_meanwhile",
        )


@transaction.atomic
def edit(*, part: P, text: str, revision: int | None, actor: User, now: datetime) -> P:
    """Save one part. Raises ConflictError when it is no longer the revision that the person began with."""
    report, part = _hold_part(part)
    allowed(Verb.EDIT, report, actor)
    text = prose.clean(text).strip()
    if revision is not None and revision != part.revision and text != part.text:
        raise ConflictError(part)
    if len(text) > LONGEST:
        raise DomainError(_("This is too long. Nothing was saved: please shorten it."), code="too_long")
    if text == part.text:
        return part
    part.text = text
    part.revision += 1
    part.edited_by, part.edited_at = actor, now
    part.save()
    touch(report, now)
    return part


def follow_facts(report: WrittenReport, now: datetime) -> list[Any]:
    """A text that nobody has edited follows what the platform says now; an edited one stays, the new facts beside it.

    Returns the parts whose text stayed although the facts are others. Needs the report held.
    """
    known = families.of(report).texts(report, now)
    kept = []
    for part in report.parts.all():
        fresh = known.get(part.name, "")
        if fresh == part.facts:
            continue
        if part.is_edited:
            part.has_news = True
            kept.append(part)
        else:
            part.text = fresh
            part.revision += 1
        part.facts = fresh
        part.save()
    return kept


@transaction.atomic
def take_facts(*, part: P, replace: bool, actor: User, now: datetime) -> P:
    """Put the new facts in the place of the text, or below it: because somebody said so."""
    report, part = _hold_part(part)
    allowed(Verb.EDIT, report, actor)
    part.text = part.facts if replace else f"{part.text}\n\n{part.facts}".strip()
    part.has_news = False
    part.revision += 1
    part.edited_by, part.edited_at = actor, now
    part.save()
    touch(report, now)
    return part


@transaction.atomic
def keep_text(*, part: P, actor: User, now: datetime) -> P:
    """The text stays as it is although the facts are others by now: because somebody said so."""
    report, part = _hold_part(part)
    allowed(Verb.EDIT, report, actor)
    part.has_news = False
    part.edited_by, part.edited_at = actor, now
    part.save()
    touch(report, now)
    return part


@transaction.atomic
def submit(*, report: R, actor: User, now: datetime) -> R:
    """Give it to the manager, complete."""
    report = hold(report)
    target = allowed(Verb.SUBMIT, report, actor)
    families.of(report).check(report)
    if old := [part.title for part in report.parts.all() if part.has_news]:
        raise DomainError(
            _("The facts of these parts are others by now: %(names)s. Take them over or say that your text stays.")
            % {"names": ", ".join(old)},
            code="news",
        )
    report.author, report.reason = actor, ""
    become(report, target, "submit", actor, now)
    messages.to_be_signed(report, actor, now=now)
    return report


@transaction.atomic
def comment(*, part: WrittenPart, body: str, actor: User, now: datetime) -> WrittenComment:
    report, part = _hold_part(part)
    allowed(Verb.COMMENT, report, actor)
    body = _said(body, _("Please write what should be different."))
    made: WrittenComment = families.of(report).comment.objects.create(
        customer_id=report.customer_id, part=part, body=body[:4000], author=actor, made_at=now
    )
    return made


@transaction.atomic
def settle(*, comment: WrittenComment, actor: User, now: datetime) -> WrittenComment:
    """What a comment asked for is done."""
    report, _part = _hold_part(comment.part)
    allowed(Verb.COMMENT, report, actor)
    comment.settled_at = comment.settled_at or now
    comment.save(update_fields=["settled_at"])
    return comment


@transaction.atomic
def give_back(*, report: R, reason: str, actor: User, now: datetime) -> R:
    """Return it to its author with a reason."""
    report = hold(report)
    target = allowed(Verb.RETURN, report, actor)
    report.reason = _said(reason, _("Please write what should be different."))
    become(report, target, "return", actor, now, reason=report.reason)
    messages.returned(report, actor, now=now)
    return report


@transaction.atomic
def sign(
    *, report: WrittenReport, actor: User, now: datetime, address: str | None = None, shown: str | None = None
) -> Any:
    """The manager's signature under exactly this content: name, time, address and hash, in a row that never changes.

    `shown`: the digest of what the person was shown (`digest_to_sign`). Raises ChangedError when it is another by now.
    """
    report = hold(report)
    family = families.of(report)
    target = allowed(Verb.SIGN, report, actor)
    family.check(report)
    number = report.issues.count() + 1
    content = content_of(report, number)
    if shown is not None and shown != digest(content):
        raise ChangedError
    issue = family.issue.objects.create(
        customer_id=report.customer_id,
        report=report,
        number=number,
        content=content,
        sha256=digest(content),
        reason=report.reissue_reason if number > 1 else "",
        signed_by=actor,
        signed_name=actor.name,
        signed_at=now,
        signed_from=address,
    )
    file = family.file.objects.create(customer_id=report.customer_id, issue=issue)
    transaction.on_commit(partial(ask_for_document, report.FAMILY, file.pk), robust=True)
    become(report, target, "sign", actor, now, issue=number, sha256=issue.sha256)
    messages.signed(report, actor, now=now)
    return issue


@transaction.atomic
def reissue(*, report: R, reason: str, actor: User, now: datetime) -> R:
    """Write it anew: what was signed stays as it is, the next signature makes another issue."""
    report = hold(report)
    target = allowed(Verb.REISSUE, report, actor)
    report.reissue_reason = _said(reason, _("Please write why it is issued again: the customer reads it."))
    report.reason = ""
    become(report, target, "reissue", actor, now, reason=report.reissue_reason)
    return report


@transaction.atomic
def withdraw(*, report: R, reason: str, actor: User, now: datetime) -> R:
    """No report is owed after all, with the manager's reason; nothing opens another one by itself."""
    report = hold(report)
    target = allowed(Verb.WITHDRAW, report, actor)
    if report.issues.exists():
        raise DomainError(_("It has been signed before: it can be issued again, but not withdrawn."), code="signed")
    report.reason = _said(reason, _("Please write why no report is needed."))
    timers.cancel(prefix=report.key)
    become(report, target, "withdraw", actor, now, reason=report.reason)
    return report


@transaction.atomic
def restore(*, report: R, actor: User, now: datetime) -> R:
    report = hold(report)
    target = allowed(Verb.RESTORE, report, actor)
    report.reason = ""
    become(report, target, "restore", actor, now)
    families.of(report).arm(report, now)
    return report


def miss(report: WrittenReport, *, now: datetime) -> bool:
    """It was due and nobody of the customer has it: recorded once, and the manager hears. Needs the report held."""
    if not reaching.is_owed(report) or report.missed_at is not None or now < report.due_at:
        return False
    report.missed_at = report.due_at
    report.save(update_fields=["missed_at"])
    detail = {"due_at": report.due_at.isoformat(), "late": (now - report.due_at).total_seconds() > 60}
    audit.record(action=f"{report.NOUN}.miss", actor=None, customer=report.customer, obj=report, detail=detail, now=now)
    messages.missed(report, now=now)
    return True


def ask_for_document(family: str, file_id: int) -> None:
    """Tell the workers of reports. If the queue is down the sweep finds the row within seconds."""
    current_app.send_task("reports.render", args=[family, file_id], queue="reports", retry=False)


def content_of(report: WrittenReport, number: int) -> dict[str, Any]:
    """Everything that the document says, as it is signed."""
    return {
        "number": report.number,
        "issue": number,
        "language": report.language,
        "customer": report.customer.name,
        "provider": provider(report.language),
        "author": report.author.name if report.author else "",
        "reason": report.reissue_reason if number > 1 else "",
        **families.of(report).content(report),
    }


def provider(language: str) -> str:
    """What the service provider is called in a report of that language."""
    return str(settings.PROVIDER_NAME if language.startswith("zh") else settings.PROVIDER_NAME_EN)


def digest(content: Mapping[str, object]) -> str:
    """SHA-256 over the content in one canonical form, as lowercase hex."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def digest_to_sign(report: WrittenReport) -> str:
    """Of what the next signature would be put under."""
    return digest(content_of(report, report.issues.count() + 1))


def is_intact(issue: WrittenIssue) -> bool:
    return digest(issue.content) == issue.sha256


def hold(report: R) -> R:
    """The report as it is now, held until the transaction ends; the customer's audit chain comes first."""
    audit.hold(report.customer_id)
    family = families.of(report)
    rows = family.report.objects.select_for_update(no_key=True, of=("self",)).select_related(*family.joined)
    held: R = rows.prefetch_related("parts").get(pk=report.pk)
    return held


def allowed(verb: Verb, report: WrittenReport, actor: User) -> State | None:
    """Where the verb leads. Raises PermissionDenied when this person never may, DomainError when it is too late."""
    rank = rank_of(actor)
    if not states.may_ever(verb, rank):
        raise PermissionDenied
    transition = states.find(verb, report.stage, rank)
    if transition is None:
        raise DomainError(
            _("%(number)s is now “%(state)s”, so this is not possible any more. Nothing was changed.")
            % {"number": report.number, "state": ReportState(report.state).label},
            code="wrong_state",
        )
    return transition.target


def become(
    report: WrittenReport, target: State | None, verb: str, actor: User | None, now: datetime, **detail: object
) -> None:
    """Record that a verb was done, and where the report stands with it."""
    if target is not None:
        report.state = target
    touch(report, now)
    audit.record(
        action=f"{report.NOUN}.{verb}", actor=actor, customer=report.customer, obj=report, detail=detail, now=now
    )


def touch(report: WrittenReport, now: datetime) -> None:
    report.changed_at = now
    report.save()
    live.publish(customer_id=report.customer_id, topic="reports", object_id=report.pk)


def _hold_part(part: P) -> tuple[WrittenReport, P]:
    report = hold(part.report)
    rows = families.of(report).part.objects.select_related("edited_by")
    fresh: P = rows.get(pk=part.pk)
    fresh.report = report
    return report, fresh


def _said(text: str, complaint: str) -> str:
    text = text.strip()
    if not text:
        raise DomainError(complaint, code="text_missing")
    return text[:4000]
