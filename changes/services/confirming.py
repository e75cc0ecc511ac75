"""The risk is told, and the customer says yes to it: by signature, or in an emergency on the telephone first (R84)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import scope
from accounts.errors import DomainError
from accounts.models import User
from changes import letters
from changes.models import ApprovalLevel, Change, ChangeAsset, ChangeKind
from changes.services import following
from changes.services.marks import Kind, allowed, finish, hold, required
from changes.states import OPEN, Verb
from incidents.models import Attestation, AttestationAnswer, Purpose
from incidents.services import attestations
from incidents.services.attestations import Subject

ANSWERED_TASK = "changes.confirmation_answered"


@transaction.atomic
def tell_risk(*, change: Change, text: str, actor: User, now: datetime) -> Attestation | None:
    """Tell the customer what may happen, with all that is to be done; a named contact signs the whole.

    Another text is another question: what was heard and approved before was about something else. A standard change
    was signed with its template: nothing is asked again.
    """
    change = hold(change)
    allowed(Verb.TELL_RISK, change, actor)
    if change.kind == ChangeKind.STANDARD:
        raise DomainError(_("The risk of a standard change was signed with it."), code="standard")
    text = required(text, _("Please write what may happen."))
    before = change.confirmation
    if before is not None and before.given is None:
        attestations.lapse(attestation=before, actor=actor, now=now)
    change.risk_text, change.risk_told_at = text, now
    _freeze_environments(change)
    letter = letters.confirmation_text(change)
    data: dict[str, object] = {"revision": change.revision}
    if before is not None and before.text != letter:
        change.heard_at, change.heard_from = None, ""
        if ApprovalLevel.objects.filter(change=change, round=change.approval_round).exists():
            change.approval_round += 1
            data["approvals_again"] = True
    change.confirmation = _ask(change, letter, actor, now)
    data["attestation"] = change.confirmation.pk
    finish(change, Kind.RISK_TOLD, actor=actor, now=now, body=text, data=data)
    following.go_on(change, now=now)
    return change.confirmation


@transaction.atomic
def ask_signature(*, change: Change, actor: User, now: datetime) -> Attestation:
    """An emergency began on a spoken word, and nobody signed in time: the contacts get the same text again."""
    change = hold(change)
    allowed(Verb.ASK_SIGNATURE, change, actor)
    before = change.confirmation
    if before is None or not change.may_be_asked_to_sign:
        raise DomainError(
            _("It is signed, declined, or a signature is awaited: nobody was asked again."), code="answered"
        )
    change.confirmation = _ask(change, before.text, actor, now)
    data = {"again": True, "attestation": change.confirmation.pk}
    finish(change, Kind.RISK_TOLD, actor=actor, now=now, data=data)
    return change.confirmation


def _freeze_environments(change: Change) -> None:
    """What is production stands in the text that is signed, and holds from then on (R85, R150)."""
    rows = list(change.touched.select_related("asset"))
    for row in rows:
        row.environment = row.asset.environment
    ChangeAsset.objects.bulk_update(rows, ["environment"])


def _ask(change: Change, letter: str, actor: User, now: datetime) -> Attestation:
    return attestations.ask(
        customer=change.customer,
        purpose=_purpose(change),
        subject=Subject(f"change:{change.pk}", str(change)[:250], f"/changes/{change.pk}/"),
        text=letter,
        actor=actor,
        now=now,
        on_answer=ANSWERED_TASK,
    )


def _purpose(change: Change) -> Purpose:
    if change.closes_ports:
        return Purpose.PORT_CLOSING
    return Purpose.PATCH if change.is_patch else Purpose.CHANGE


@transaction.atomic
def hear(*, change: Change, name: str, words: str, actor: User, now: datetime) -> Change:
    """In an emergency the customer's word on the telephone is enough to begin; the signature follows."""
    change = hold(change)
    allowed(Verb.HEAR, change, actor)
    if change.kind != ChangeKind.EMERGENCY:
        raise DomainError(
            _("Only an emergency begins on a spoken word. Tell the risk, and let the customer sign it."),
            code="not_urgent",
        )
    if change.closes_ports:
        raise DomainError(_("Ports are closed on a signature only: the customer confirms which."), code="must_sign")
    if change.risk_told_at is None:
        raise DomainError(_("Tell the risk first: the customer says yes to that."), code="risk_missing")
    change.heard_from = required(name, _("Please write who said yes."))[:120]
    change.heard_at = now
    finish(change, Kind.HEARD, actor=actor, now=now, body=words, data={"name": change.heard_from})
    following.go_on(change, now=now)
    return change


@transaction.atomic
def answered(*, attestation_id: int, now: datetime) -> None:
    """The timer after a signature, a refusal or the end of the time for it. Says nothing about a revision gone by."""
    found = Change.objects.filter(confirmation=attestation_id).first()
    if found is None:
        return
    with scope.customer(found.customer_id):
        change = hold(found)
        asked = change.confirmation
        if asked is None or asked.pk != attestation_id or asked.given is None:
            return
        given = asked.given
        known = change.entries.filter(kind=Kind.ANSWERED, data__attestation=asked.pk)
        if given.outcome == AttestationAnswer.Outcome.WITHDRAWN or known.exists():
            return
        data = {"outcome": given.outcome, "signer": given.signer_name, "attestation": asked.pk}
        finish(change, Kind.ANSWERED, actor=given.signer, now=now, body=given.words, data=data)
        if change.stage in OPEN:
            following.go_on(change, now=now)
