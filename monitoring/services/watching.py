"""What timers wake up for: flapping that may be over, acknowledgements that run out, causes that have ended."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import bulk
from accounts.models import Customer
from monitoring import registry, wording
from monitoring.flapping import quiet_at, reminder_at
from monitoring.heads import Heads
from monitoring.models import Alert
from monitoring.services import alerts, flaps, holding, silence
from monitoring.services.alerts import Closing, Ending


@transaction.atomic
def settle(*, customer: Customer, now: datetime) -> int:
    """Look anew at what is held back, inside the customer's scope."""
    registry.hold_ledger(customer.pk)
    return holding.settle(customer=customer, now=now)


@transaction.atomic
def look_at_flapping(*, alert_id: int, now: datetime) -> None:
    """Ends the flapping that has been quiet for long enough, reminds of what goes on."""
    found = Alert.objects.select_related("customer", "asset").filter(pk=alert_id).first()
    if found is None:
        return
    customer = found.customer
    speaks = _still_speaks(found, now)  # before the ledger is held: who takes a batch in holds the memory first
    registry.hold_ledger(customer.pk)
    alert = Alert.objects.select_related("asset").get(pk=alert_id)
    if not alert.is_open or alert.flapping_since is None:
        return
    quiet = quiet_at(flaps.last_change(alert), flaps.policy_of(alert))
    if now >= quiet and (speaks or not alert.is_calm):
        _end_flapping(customer, alert, now)
        return
    if now >= reminder_at(alert.flapping_since, alert.reminders, flaps.policy_of(alert)):
        flaps.say_still(customer, alert, now)
        alert.reminders += 1
        bulk.update([alert], ["reminders"])
    due_at = flaps.next_look(alert)
    flaps.arm(alert, due_at if due_at > now else now + flaps.policy_of(alert).quiet)


def _still_speaks(alert: Alert, now: datetime) -> bool:
    """Whether its figure has come ever since: a figure that fell silent while it was good has not recovered."""
    plan = registry.glance(alert.customer_id)
    heads = Heads()
    heads.load(np.unique(plan.asset).astype(np.int64))
    quiet = silence.look(plan, heads, now)
    if alert.rule_id in silence.SILENCES:
        return silence.speaks_again(alert, quiet)
    binding = None if alert.series_id is None else plan.find(alert.series_id, alert.rule_id)
    return binding is not None and not quiet.is_silent[binding]


def _ending(alert: Alert) -> Ending:
    if alert.rule_id in silence.SILENCES:
        return Ending.DATA_BACK
    return Ending.RECOVERED if alert.rule and alert.rule.recovery else Ending.PASSED


def _end_flapping(customer: Customer, alert: Alert, now: datetime) -> None:
    with translation.override(customer.language):
        if alert.is_calm:
            closing = Closing(alert.open_key, flaps.last_change(alert), _ending(alert))
            alerts.end(customer=customer, alerts=[alert], closings={alert.open_key: closing}, now=now)
            return
        alert.flapping_since, alert.reminders = None, 0
        bulk.update([alert], ["flapping_since", "reminders"])
        text = _("It has stopped coming and going; it fires since %(time)s.") % {
            "time": wording.clock(flaps.last_change(alert))
        }
        flaps.remind(customer, alert, text, now, flaps=False)
