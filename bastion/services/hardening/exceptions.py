"""Exceptions: asked of the customer, accepted by signature, ended by people or by their day (R154)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import User
from assets.models import Asset
from bastion.hardening.catalogue import Item, items
from bastion.models import HardeningException
from bastion.services.hardening import judging
from bastion.services.hardening.rights import require
from changes.words import said
from incidents.models import AttestationAnswer, Purpose
from incidents.services import attestations
from incidents.services.attestations import Subject
from notify import live
from timers import services as timers

ANSWERED_TASK: Final = "bastion.hardening_exception_answered"
LAPSE_TASK: Final = "bastion.lapse_hardening_exception"
LONGEST: Final = timedelta(days=366)
SHORTEST_REASON: Final = 10
State = HardeningException.State


@transaction.atomic
def ask(*, asset: Asset, item: str, reason: str, until: datetime, actor: User, now: datetime) -> HardeningException:
    """Put it before the customer's named contacts: until one has signed, the item counts as not fulfilled."""
    require(actor.is_provider)
    entry = items().get(item)
    if entry is None:
        raise DomainError(_("There is no such item."), code="no_item")
    reason = " ".join(reason.split())
    if len(reason) < SHORTEST_REASON:
        raise DomainError(_("Please say why it cannot be made right: the customer signs that."), code="text_missing")
    if not now < until <= now + LONGEST:
        raise DomainError(_("An exception ends within a year. Please choose a day to come."), code="until")
    audit.hold(asset.customer_id)
    try:
        with transaction.atomic():
            row = HardeningException.objects.create(
                customer=asset.customer,
                asset=asset,
                item=item,
                reason=reason[:500],
                until=until,
                asked_by=actor,
                asked_at=now,
            )
    except IntegrityError:
        raise DomainError(
            _("An exception of this item is asked for or in force already."), code="open_already"
        ) from None
    row.attestation = attestations.ask(
        customer=asset.customer,
        purpose=Purpose.REFUSAL,
        subject=Subject(
            f"hardening-exception:{row.pk}",
            f"{asset.name}: {said(entry.name)}"[:250],
            f"/bastion/hardening/exceptions/{row.pk}/",
        ),
        text=_text(row, entry),
        actor=actor,
        now=now,
        on_answer=ANSWERED_TASK,
    )
    row.save(update_fields=["attestation"])
    _record(row, "ask", actor, now)
    return row


@transaction.atomic
def end(*, exception: HardeningException, words: str, actor: User, now: datetime) -> HardeningException:
    """Not needed any more, or taken back. Ending it twice changes nothing."""
    require(actor.is_provider)
    row = _hold(exception)
    if row.state not in (State.ASKED, State.ACCEPTED):
        return row
    if not words.strip():
        raise DomainError(_("Please say why."), code="text_missing")
    if row.state == State.ASKED and row.attestation is not None and row.attestation.given is None:
        attestations.lapse(attestation=row.attestation, actor=actor, now=now)
    _close(row, State.ENDED, now, actor)
    _record(row, "end", actor, now, words=words.strip()[:300])
    return row


@transaction.atomic
def answered(*, attestation_id: int, now: datetime) -> None:
    """The timer after a signature, a refusal or the end of the time for it."""
    found = HardeningException.objects.filter(attestation=attestation_id).first()
    if found is None:
        return
    with scope.customer(found.customer_id):
        row = _hold(found)
        given = None if row.attestation is None else row.attestation.given
        if row.state != State.ASKED or given is None:
            return
        if given.outcome != AttestationAnswer.Outcome.SIGNED or row.until <= now:
            _close(row, State.DECLINED, now, given.signer)
            _record(row, "decline", given.signer, now, outcome=given.outcome)
            return
        row.state = State.ACCEPTED
        row.save(update_fields=["state"])
        timers.set(
            key=_key(row),
            due_at=row.until,
            task=LAPSE_TASK,
            args={"exception_id": row.pk},
            customer=row.customer_id,
        )
        _record(row, "accept", given.signer, now, signer=given.signer_name, attestation=row.attestation_id)
        judging.count_again(asset=row.asset, now=now)
        _tell(row)


@transaction.atomic
def lapse(*, exception_id: int, now: datetime) -> bool:
    """Its day has come: the item counts again. False when it had ended before."""
    found = HardeningException.objects.filter(pk=exception_id).first()
    if found is None:
        return False
    row = _hold(found)
    if row.state != State.ACCEPTED or now < row.until:
        return False
    _close(row, State.LAPSED, now, None)
    _record(row, "lapse", None, now)
    return True


def _close(row: HardeningException, state: State, now: datetime, actor: User | None) -> None:
    row.state, row.ended_at, row.ended_by = state, now, actor
    row.save(update_fields=["state", "ended_at", "ended_by"])
    timers.cancel(prefix=_key(row))
    judging.count_again(asset=row.asset, now=now)
    _tell(row)


def _text(row: HardeningException, entry: Item) -> str:
    with translation.override(row.customer.language):
        facts = {
            "server": row.asset.name,
            "item": said(entry.name),
            "clause": entry.clause,
            "why": said(entry.why),
            "reason": row.reason,
            "until": timezone.localtime(row.until).strftime("%Y-%m-%d %H:%M"),
            "provider": settings.PROVIDER_NAME,
        }
        return "\n\n".join(
            (
                _("Exception from the hardening standard: %(item)s (%(clause)s)") % facts,
                _("Server: %(server)s") % facts,
                _("What the standard is for: %(why)s") % facts,
                _("Why it is not fulfilled: %(reason)s") % facts,
                _("Until: %(until)s") % facts,
                _(
                    "%(provider)s advises to fulfil the standard. We do not want that until then, and know that an "
                    "accident that comes of it is ours to answer for (statement of work, annex 1, clause 1)."
                )
                % facts,
            )
        )


def _hold(row: HardeningException) -> HardeningException:
    audit.hold(row.customer_id)
    rows = HardeningException.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("customer", "asset", "attestation__answer").get(pk=row.pk)


def _key(row: HardeningException) -> str:
    return f"hardening-exception:{row.pk}:"


def _record(row: HardeningException, verb: str, actor: User | None, now: datetime, **more: object) -> None:
    detail = {"asset": row.asset.name, "item": row.item, "until": row.until.isoformat(), **more}
    audit.record(
        action=f"hardening.exception.{verb}", actor=actor, customer=row.customer, obj=row, detail=detail, now=now
    )


def _tell(row: HardeningException) -> None:
    live.publish(customer_id=row.customer_id, topic="hardening", object_id=0)
