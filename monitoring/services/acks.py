"""Acknowledging alerts, with a comment and for as long as somebody says. Ran out and still firing: told again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import audit, bulk
from accounts.errors import DomainError
from accounts.models import User
from incidents import services as incidents
from incidents.models import Incident
from incidents.permissions import may
from incidents.states import Verb
from monitoring import registry
from monitoring.models import Alert
from notify import live
from timers import services as timers

LONGEST: Final = timedelta(days=30)
FIELDS: Final = ("acknowledged_at", "acknowledged_by", "ack_comment", "ack_until", "ack_expired_at")


@transaction.atomic
def acknowledge(
    *, alerts: Collection[Alert], actor: User, now: datetime, comment: str = "", until: datetime | None = None
) -> list[Alert]:
    """Somebody has these in hand, until a moment or until they end. Their incidents are acknowledged with them.

    Alerts that have ended change nothing. The first acknowledgement is the one that counts for R44.
    """
    if not actor.is_provider:
        raise PermissionDenied
    if until is not None and not now < until <= now + LONGEST:
        raise DomainError(
            _("An acknowledgement ends in the future, at most %(days)d days from now.") % {"days": LONGEST.days},
            code="ack_until",
        )
    done = []
    for customer_id in sorted({alert.customer_id for alert in alerts}):
        registry.hold_ledger(customer_id)
        ids = [alert.pk for alert in alerts if alert.customer_id == customer_id]
        done += _acknowledge(list(_held(ids)), actor, now, comment, until)
    return done


@transaction.atomic
def withdraw(*, alert: Alert, actor: User, now: datetime) -> Alert:
    """It is in nobody's hands again. The incident keeps its own state."""
    if not actor.is_provider:
        raise PermissionDenied
    registry.hold_ledger(alert.customer_id)
    alert = _held([alert.pk]).get()
    if not alert.is_open or not alert.is_acknowledged:
        return alert
    alert.ack_expired_at, alert.ack_until = now, None
    bulk.update([alert], FIELDS)
    timers.cancel(prefix=_key(alert))
    audit.record(action="alert.withdraw", actor=actor, customer=alert.customer, obj=alert, now=now)
    live.publish(customer_id=alert.customer_id, topic="alerts", object_id=alert.pk)
    return alert


@transaction.atomic
def run_out(*, alert_id: int, now: datetime) -> bool:
    """The time of an acknowledgement is over: told again if it still fires. Returns whether it was."""
    found = Alert.objects.filter(pk=alert_id).values_list("customer_id", flat=True).first()
    if found is None:
        return False
    registry.hold_ledger(found)
    alert = _held([alert_id]).get()
    if not alert.is_open or not alert.is_acknowledged or alert.ack_until is None or alert.ack_until > now:
        return False
    alert.ack_expired_at = now
    bulk.update([alert], FIELDS)
    if alert.incident_id is not None and not alert.held and not alert.is_calm:
        with translation.override(alert.customer.language):
            name = alert.acknowledged_by.name if alert.acknowledged_by else ""
            text = _("%(name)s had it in hand until now; it still fires.") % {"name": name}
            reminder = incidents.Reminder(alert.incident_id, alert.key, text)
            incidents.remind(customer=alert.customer, reminders=[reminder], now=now)
    live.publish(customer_id=alert.customer_id, topic="alerts", object_id=alert.pk)
    return True


def _held(ids: Collection[int]) -> QuerySet[Alert]:
    return Alert.objects.filter(pk__in=ids).select_related("customer", "asset", "acknowledged_by").order_by("pk")


def _acknowledge(alerts: list[Alert], actor: User, now: datetime, comment: str, until: datetime | None) -> list[Alert]:
    taken = [alert for alert in alerts if alert.is_open]
    for alert in taken:
        alert.acknowledged_at = alert.acknowledged_at or now
        alert.acknowledged_by = actor
        alert.ack_comment = " ".join(comment.split())[:300]
        alert.ack_until, alert.ack_expired_at = until, None
        _arm(alert)
    bulk.update(taken, FIELDS)
    if not taken:
        return []
    for incident in Incident.objects.filter(pk__in={alert.incident_id for alert in taken}).order_by("pk"):
        if may(actor, Verb.ACKNOWLEDGE, incident):
            incidents.acknowledge(incident=incident, actor=actor, now=now)
    acts = [audit.Act("alert.acknowledge", alert, {"comment": comment, "until": str(until or "")}) for alert in taken]
    audit.record_many(acts=acts, actor=actor, customer=taken[0].customer, now=now)
    live.publish(customer_id=taken[0].customer_id, topic="alerts", object_id=taken[-1].pk)
    return taken


def _key(alert: Alert) -> str:
    return f"alert-ack:{alert.pk}."


def _arm(alert: Alert) -> None:
    if alert.ack_until is None:
        timers.cancel(prefix=_key(alert))
        return
    timers.set(
        key=_key(alert),
        due_at=alert.ack_until,
        task="monitoring.ack_runs_out",
        args={"alert_id": alert.pk},
        customer=alert.customer_id,
    )
