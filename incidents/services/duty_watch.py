"""Looking ahead on the roster: gaps are told before they come (R186); and the news of swaps."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts import scope
from accounts.models import Customer, Role, RosterShift, ShiftSwap, User
from accounts.services import roster, swaps
from accounts.services.roster import Gap
from accounts.services.swaps import Stretch
from incidents.services import responders
from notify import services as notify
from timers import services as timers
from timers.models import Timer

GAP_KEY: Final = "roster:gaps"
GAP_TASK: Final = "incidents.report_gaps"
GAP_HOUR: Final = 9
SOON: Final = timedelta(days=3)
"""A gap that is so near is told again every day."""
SHOWN: Final = 15


def look(*, now: datetime) -> None:
    """The rhythm of every minute: the daily timer is armed, and changed responders are found. Needs platform scope."""
    if not Timer.objects.pending().filter(key=GAP_KEY).exists():
        timers.set(key=GAP_KEY, due_at=next_morning(now), task=GAP_TASK, args={}, customer=None)
    for customer in Customer.objects.filter(status=Customer.Status.IN_SERVICE):
        with scope.customer(customer):
            responders.settle(customer=customer, now=now)
            responders.look(customer=customer, now=now)


def next_morning(now: datetime) -> datetime:
    """The next nine o'clock."""
    local = timezone.localtime(now)
    morning = local.replace(hour=GAP_HOUR, minute=0, second=0, microsecond=0)
    return morning if morning > local else morning + timedelta(days=1)


@transaction.atomic
def report_gaps(*, now: datetime) -> int:
    """Tell managers who is missing in the next thirty days; returns how many gaps there are. Needs platform scope.

    The same gaps are told once, and again every day when one of them is near.
    """
    timers.set(key=GAP_KEY, due_at=next_morning(now), task=GAP_TASK, args={}, customer=None)
    found = gaps_ahead(now=now)
    if not found:
        return 0
    is_near = any(gap.starts_at - now < SOON for _customer, gap in found)
    said = "|".join(_name(customer, gap, now) for customer, gap in found)
    key = f"roster-gaps:{hashlib.sha256(said.encode()).hexdigest()[:16]}"
    if is_near:
        key += f":{timezone.localtime(now):%Y%m%d}"
    for person in User.objects.filter(role=Role.MANAGER, is_active=True):
        with translation.override(person.language):
            message = notify.Message(
                topic="sla",
                subject=_("%(count)d times nobody is on duty in the next 30 days") % {"count": len(found)},
                text="\n".join(f"- {_line(customer, gap)}" for customer, gap in found[:SHOWN]),
                url="/roster/?view=month",
            )
        notify.tell(user=person, key=key, message=message, now=now, channels=("inbox", "email"))
    return len(found)


def gaps_ahead(*, now: datetime) -> list[tuple[Customer | None, Gap]]:
    """The gaps of the next thirty days, earliest first. Where each customer has its own people, those of the customer;
    None: those of everybody who has none."""
    until = now + roster.GAP_HORIZON
    found: list[tuple[Customer | None, Gap]] = []
    shared = roster.gaps(customer_id=None, start=now, end=until)
    if not shared:
        return []
    own = set(RosterShift.objects.filter(ends_at__gt=now).exclude(customer=None).values_list("customer_id", flat=True))
    customers = list(Customer.objects.filter(status=Customer.Status.IN_SERVICE))
    for customer in customers:
        if customer.pk in own:
            gaps = roster.gaps(customer_id=customer.pk, start=now, end=until)
            found += [(customer, gap) for gap in gaps]
    if len(own) < len(customers) or not customers:
        found += [(None, gap) for gap in shared]
    return sorted(found, key=lambda one: one[1].starts_at)


def _name(customer: Customer | None, gap: Gap, now: datetime) -> str:
    """The same for the same gap on whichever day one looks: its end may only be that of the thirty days."""
    begins = "now" if gap.starts_at <= now else f"{gap.starts_at:%Y%m%d%H%M}"
    return f"{customer.pk if customer else ''}:{gap.duty}:{begins}"


def _line(customer: Customer | None, gap: Gap) -> str:
    whose = f"{customer} · " if customer else ""
    start, end = timezone.localtime(gap.starts_at), timezone.localtime(gap.ends_at)
    return f"{whose}{gap.duty.label}: {start:%m-%d %H:%M} – {end:%m-%d %H:%M}"


# --- swaps -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def ask_swap(
    *, stretch: Stretch, colleague: User, asker: User, now: datetime, in_return: Stretch | None = None, note: str = ""
) -> ShiftSwap:
    """Ask, and tell the colleague."""
    swap = swaps.ask(stretch=stretch, colleague=colleague, asker=asker, in_return=in_return, note=note, now=now)
    _tell_of_swap(swap, [colleague], gettext_noop("%(asker)s asks you to take a shift"), "ask", now)
    return swap


@transaction.atomic
def answer_swap(*, swap: ShiftSwap, accept: bool, actor: User, now: datetime) -> ShiftSwap:
    """Answer, and tell the asker; of a yes the managers learn too."""
    swap = swaps.answer(swap=swap, accept=accept, actor=actor, now=now)
    people = [swap.asker]
    if accept:
        people += User.objects.filter(role=Role.MANAGER, is_active=True).exclude(pk=swap.asker_id)
    yes, no = gettext_noop("%(colleague)s takes the shift of %(asker)s"), gettext_noop("%(colleague)s cannot take it")
    subject = yes if accept else no
    _tell_of_swap(swap, people, subject, "yes" if accept else "no", now)
    return swap


def _tell_of_swap(swap: ShiftSwap, people: Sequence[User], subject: str, what: str, now: datetime) -> None:
    names = {"asker": swap.asker.name, "colleague": swap.colleague.name}
    for person in people:
        with translation.override(person.language):
            message = notify.Message("account", _(subject) % names, _swap_text(swap), "/roster/swaps/")
        key = f"swap:{swap.pk}:{what}"
        with scope.platform("a swap may be about all customers"):
            notify.tell(user=person, key=key, message=message, now=now, channels=("inbox",), customer=swap.customer)


def _swap_text(swap: ShiftSwap) -> str:
    stretch, in_return = swaps.stretches(swap)
    back = _("In return: %(shift)s") % {"shift": span_line(in_return)} if in_return else ""
    return "\n\n".join(line for line in (span_line(stretch), back, swap.note) if line)


def span_line(stretch: Stretch) -> str:
    """A stretch of duty as people write it."""
    start, end = timezone.localtime(stretch.starts_at), timezone.localtime(stretch.ends_at)
    whose = f" · {stretch.customer}" if stretch.customer else ""
    return f"{RosterShift.Duty(stretch.duty).label}: {start:%m-%d %H:%M} – {end:%m-%d %H:%M}{whose}"
