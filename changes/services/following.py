"""What follows when something was recorded on a change: where it stands, who is asked next, what goes quiet."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from accounts.models import Contact, ProviderContact, Role, User
from changes import approval, messages
from changes.catalogue import Duty, Needs, Risk, route
from changes.models import ApprovalLevel, Change, ChangeKind, ChangeState
from changes.services import facts
from changes.services.marks import Kind, finish, write
from timers import services as timers

DECIDE_TASK: Final = "changes.remind_of_decision"
OVERRUN_TASK: Final = "changes.window_is_over"
REVIEW_TASK: Final = "changes.remind_of_review"
SILENCE_TASK: Final = "monitoring.follow_change"
"""The floor above silences the assets of a change; it is woken by name."""
PATIENCE: Final = timedelta(hours=24)
EMERGENCY_PATIENCE: Final = timedelta(minutes=15)


def go_on(change: Change, *, now: datetime) -> None:
    """After every recorded thing: the approvers are asked once it is their turn, and the change may become ready."""
    if change.state in (ChangeState.PREPARING, ChangeState.READY):
        _ask(change, now)
    before = (change.state, change.gate)
    is_ready = facts.settle(change, now=now)
    if is_ready:
        finish(change, Kind.READY, actor=None, now=now)
        messages.ready(change, now=now)
    elif (change.state, change.gate) != before:
        change.save(update_fields=["state", "gate"])
    silence(change, now=now)
    _watch_window(change, now)


def stop(change: Change, *, now: datetime) -> None:
    """Nobody is asked or reminded any more."""
    timers.cancel(prefix=f"change:{change.pk}:")
    silence(change, now=now)


def silence(change: Change, *, now: datetime) -> None:
    """Have the alarms of its assets go quiet in its window, or speak again."""
    timers.set(
        key=f"change-silence:{change.pk}:",
        due_at=now,
        task=SILENCE_TASK,
        args={"change_id": change.pk},
        customer=change.customer_id,
    )


def deciders(duty: Duty, needs: Needs, change: Change, barred: Collection[int]) -> list[int]:
    """Who may decide at a level today, by id: whoever is named for it, else a manager; of ours nobody of `barred`.

    Where all of the customer's have to say yes, both its project managers are asked: who is away lets a delegate speak.
    """
    customer = change.customer_id
    if duty is Duty.CUSTOMER:
        return customer_managers(customer, both=needs is Needs.ALL)
    named = {Duty.OWNER: ProviderContact.Kind.PROJECT_OWNER, Duty.SECURITY: ProviderContact.Kind.SECURITY}
    people: list[int] = []
    if duty in named:
        rows = ProviderContact.objects.filter(customer=customer, kind=named[duty], user__is_active=True)
        people = list(rows.exclude(user__in=barred).order_by("pk").values_list("user_id", flat=True))
    return people or managers(barred)


def customer_managers(customer_id: int, *, both: bool = False) -> list[int]:
    """The first project manager, or the second when the first is away (R180); `both` when nobody answered, or both
    are needed."""
    kinds = (Contact.Kind.FIRST_PM, Contact.Kind.SECOND_PM)
    rows = Contact.objects.filter(customer=customer_id, kind__in=kinds, user__is_active=True).order_by("kind")
    contacts = list(rows)
    present = [contact for contact in contacts if not contact.is_away] or contacts
    return list(dict.fromkeys(contact.user_id for contact in (contacts if both else present[:1])))


def managers(barred: Collection[int]) -> list[int]:
    rows = User.objects.filter(role__in=(Role.MANAGER, Role.ADMIN), is_active=True).exclude(pk__in=barred)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _ask(change: Change, now: datetime) -> None:
    """Lay out the levels of this round once everything before them is there, and open the one whose turn it is."""
    if change.kind == ChangeKind.STANDARD or not facts.asks_now(change, now=now):
        return
    levels = facts.levels(change)
    if not levels:
        steps = route(Risk(change.risk), emergency=change.kind == ChangeKind.EMERGENCY).levels
        ApprovalLevel.objects.bulk_create(
            ApprovalLevel(
                customer_id=change.customer_id,
                change=change,
                round=change.approval_round,
                position=position,
                duty=step.duty,
                needs=step.needs,
                deciders=deciders(step.duty, step.needs, change, change.authors),
            )
            for position, step in enumerate(steps)
        )
        levels = facts.levels(change)
    rounds = [facts.as_round(level) for level in levels]
    place = approval.open_level(rounds, change.authors)
    if place is not None and levels[place].asked_at is None:
        open_level(change, levels[place], approval.barred(rounds, place, change.authors), now=now)


def open_level(change: Change, level: ApprovalLevel, barred: Collection[int], *, now: datetime) -> None:
    """It is their turn: they are told, and reminded when they do not answer."""
    patience = EMERGENCY_PATIENCE if change.kind == ChangeKind.EMERGENCY else PATIENCE
    level.deciders = deciders(Duty(level.duty), Needs(level.needs), change, barred)
    level.asked_at, level.due_at = now, now + patience
    level.save(update_fields=["deciders", "asked_at", "due_at"])
    remind_at(level, level.due_at)
    write(change, Kind.ASKED, actor=None, now=now, data={"duty": level.duty, "people": names(level.deciders)})
    messages.decision_wanted(change, level, now=now)


def remind_at(level: ApprovalLevel, at: datetime) -> None:
    timers.set(
        key=f"change:{level.change_id}:level:{level.pk}.",
        due_at=at,
        task=DECIDE_TASK,
        args={"level_id": level.pk},
        customer=level.customer_id,
    )


def forget(level: ApprovalLevel) -> None:
    """Nobody is reminded of it any more."""
    timers.cancel(prefix=f"change:{level.change_id}:level:{level.pk}.")


def review_later(change: Change, *, now: datetime) -> None:
    """An emergency that is over is looked at again; who forgets it is reminded every day."""
    if change.needs_review:
        timers.set(
            key=_review_key(change),
            due_at=now + PATIENCE,
            task=REVIEW_TASK,
            args={"change_id": change.pk},
            customer=change.customer_id,
        )
    else:
        timers.cancel(prefix=_review_key(change))


def _review_key(change: Change) -> str:
    return f"change-review:{change.pk}:"


def names(people: list[int]) -> list[str]:
    return list(User.objects.filter(pk__in=people).order_by("name").values_list("name", flat=True))


def _watch_window(change: Change, now: datetime) -> None:
    key = f"change:{change.pk}:window."
    if change.ends_at is None or change.ends_at <= now:
        timers.cancel(prefix=key)
        return
    args = {"change_id": change.pk}
    timers.set(key=key, due_at=change.ends_at, task=OVERRUN_TASK, args=args, customer=change.customer_id)
