"""Swaps between engineers: asked, answered, withdrawn. What was agreed goes into the roster by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, RosterShift, ShiftSwap, User
from accounts.permissions import is_manager
from accounts.services import roster

State = ShiftSwap.State
WHY: Final = "shifts that serve all customers belong to none"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some duty for some time; without a customer that of all."""

    duty: str
    starts_at: datetime
    ends_at: datetime
    customer: Customer | None = None


@transaction.atomic
def ask(
    *, stretch: Stretch, colleague: User, asker: User, now: datetime, in_return: Stretch | None = None, note: str = ""
) -> ShiftSwap:
    """Ask a colleague to take a stretch of one's own duty. Raises DomainError when either does not have it."""
    if not asker.is_provider or not colleague.is_provider or not colleague.is_active:
        raise PermissionDenied
    if colleague.pk == asker.pk:
        raise DomainError(_("Ask a colleague: this is you."))
    _require(stretch, asker, now)
    if in_return is not None:
        if (in_return.customer and in_return.customer.pk) != (stretch.customer and stretch.customer.pk):
            raise DomainError(_("Both shifts of a swap must serve the same customers."))
        _require(in_return, colleague, now)
    with scope.platform(WHY):
        swap = ShiftSwap.objects.create(
            customer=stretch.customer,
            duty=stretch.duty,
            asker=asker,
            colleague=colleague,
            starts_at=stretch.starts_at,
            ends_at=stretch.ends_at,
            return_duty=in_return.duty if in_return else "",
            return_starts_at=in_return.starts_at if in_return else None,
            return_ends_at=in_return.ends_at if in_return else None,
            note=note.strip()[:200],
            asked_at=now,
        )
        _record("swap.ask", swap, asker, now)
    return swap


@transaction.atomic
def answer(*, swap: ShiftSwap, accept: bool, actor: User, now: datetime) -> ShiftSwap:
    """The colleague, or a manager for them, says yes or no; yes puts both into the roster.

    Raises DomainError when it is too late for that.
    """
    with scope.platform(WHY):
        swap = _held(swap)
        if actor.pk != swap.colleague_id and not is_manager(actor):
            raise PermissionDenied
        _require_open(swap)
        if accept:
            stretch, in_return = stretches(swap)
            _require(stretch, swap.asker, now)
            _put(stretch, swap.colleague)
            if in_return is not None:
                _require(in_return, swap.colleague, now)
                _put(in_return, swap.asker)
        swap.state = State.ACCEPTED if accept else State.DECLINED
        swap.answered_at = now
        swap.save(update_fields=["state", "answered_at"])
        _record("swap.accept" if accept else "swap.decline", swap, actor, now)
    return swap


@transaction.atomic
def withdraw(*, swap: ShiftSwap, actor: User, now: datetime) -> ShiftSwap:
    """The asker, or a manager, takes it back."""
    with scope.platform(WHY):
        swap = _held(swap)
        if actor.pk != swap.asker_id and not is_manager(actor):
            raise PermissionDenied
        _require_open(swap)
        swap.state, swap.answered_at = State.WITHDRAWN, now
        swap.save(update_fields=["state", "answered_at"])
        _record("swap.withdraw", swap, actor, now)
    return swap


def stretches(swap: ShiftSwap) -> tuple[Stretch, Stretch | None]:
    """What the colleague takes, and what the asker takes in return."""
    taken = Stretch(swap.duty, swap.starts_at, swap.ends_at, swap.customer)
    if swap.return_starts_at is None or swap.return_ends_at is None:
        return taken, None
    return taken, Stretch(swap.return_duty, swap.return_starts_at, swap.return_ends_at, swap.customer)


def _held(swap: ShiftSwap) -> ShiftSwap:
    held = ShiftSwap.objects.select_for_update(of=("self",)).select_related("asker", "colleague", "customer")
    return held.get(pk=swap.pk)


def _require_open(swap: ShiftSwap) -> None:
    if swap.state != State.ASKED:
        raise DomainError(
            _("This swap is “%(state)s” already. Nothing was changed.") % {"state": State(swap.state).label},
            code="wrong_state",
        )


def _require(stretch: Stretch, person: User, now: datetime) -> None:
    """Raises DomainError unless the person has the whole stretch, and it has not ended."""
    if stretch.ends_at <= now:
        raise DomainError(_("This shift is over. Nothing was changed."), code="too_late")
    customer_id = stretch.customer.pk if stretch.customer else None
    spans = roster.effective(customer_id=customer_id, start=stretch.starts_at, end=stretch.ends_at)
    mine = [(one.starts_at, one.ends_at) for one in spans if one.duty == stretch.duty and one.user.pk == person.pk]
    covered = stretch.starts_at
    for begins, ends in sorted(mine):
        if begins <= covered:
            covered = max(covered, ends)
    if covered < stretch.ends_at:
        raise DomainError(
            _("%(name)s does not have this shift any more. Nothing was changed: look at the roster.")
            % {"name": person.name},
            code="not_theirs",
        )


def _put(stretch: Stretch, person: User) -> None:
    RosterShift.objects.create(
        customer=stretch.customer,
        duty=stretch.duty,
        user=person,
        starts_at=stretch.starts_at,
        ends_at=stretch.ends_at,
    )


def _record(action: str, swap: ShiftSwap, actor: User, now: datetime) -> None:
    detail = {
        "duty": swap.duty, "from": swap.starts_at, "to": swap.ends_at, "asker": swap.asker_id,
        "colleague": swap.colleague_id, "return_from": swap.return_starts_at, "return_to": swap.return_ends_at,
    }  # fmt: skip
    audit.record(action=action, actor=actor, customer=swap.customer, obj=swap, detail=detail, now=now)
