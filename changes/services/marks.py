"""What every verb does before and after: hold the change, ask whether it may, save it and write it down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from changes import states
from changes.models import Change, ChangeEntry, ChangeState
from changes.permissions import side_of
from changes.states import Transition, Verb
from notify import live

Kind = ChangeEntry.Kind


def hold(change: Change) -> Change:
    """The change as it is now, held until the transaction ends; the customer's place in the audit chain comes first."""
    audit.hold(change.customer_id)
    rows = Change.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("customer", "incident", "template", "confirmation__answer").get(pk=change.pk)


def allowed(verb: Verb, change: Change, actor: User | None) -> Transition:
    """The transition that this person may make now.

    Raises PermissionDenied when their side never may, DomainError when it is too late or too early.
    """
    side = side_of(actor)
    if not states.may_ever(verb, side):
        raise PermissionDenied
    transition = states.find(verb, change.stage, side)
    if transition is None:
        raise DomainError(
            _("%(number)s is now “%(state)s”, so this is not possible. Nothing was changed.")
            % {"number": change.number, "state": ChangeState(change.state).label},
            code="wrong_state",
        )
    return transition


def same_version(change: Change, expected: int | None) -> None:
    """Refuse to overwrite what somebody else changed since the page was loaded; None means they do not care."""
    if expected is not None and expected != change.version:
        raise DomainError(
            _("Somebody else changed %(number)s meanwhile. Nothing was overwritten: look at it again, then decide.")
            % {"number": change.number},
            code="changed_meanwhile",
        )


def required(text: str, complaint: str) -> str:
    """The text without blanks around it. Raises DomainError with the complaint when nothing is left."""
    text = text.strip()
    if not text:
        raise DomainError(complaint, code="text_missing")
    return text


def finish(
    change: Change,
    kind: ChangeEntry.Kind,
    *,
    actor: User | None,
    now: datetime,
    body: str = "",
    data: Mapping[str, object] | None = None,
) -> ChangeEntry:
    """Save the held change and write down what happened: timeline, audit log, open pages."""
    change.version += 1
    change.changed_at = now
    change.save()
    entry = write(change, kind, actor=actor, now=now, body=body, data=data)
    live.publish(customer_id=change.customer_id, topic="changes", object_id=change.pk)
    return entry


def write(
    change: Change,
    kind: ChangeEntry.Kind,
    *,
    actor: User | None,
    now: datetime,
    body: str = "",
    data: Mapping[str, object] | None = None,
) -> ChangeEntry:
    """A line in the timeline and one in the audit log."""
    said = dict(data or {})
    audit.record(action=f"change.{kind}", actor=actor, customer=change.customer, obj=change, detail=said, now=now)
    return ChangeEntry.objects.create(
        customer_id=change.customer_id, change=change, at=now, kind=kind, actor=actor, body=body.strip(), data=said
    )
