"""Alarms of outside monitoring: read, given to a customer and an asset, opened, joined or ended; any number at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.utils import translation
from django.utils.translation import gettext as _

from accounts import scope
from accounts.models import Customer, Severity
from assets.models import Asset, CloudAccount
from incidents import locks, placing
from incidents.models import InboundKind, InboundMessage, InboundSource, Incident, IncidentAlert
from incidents.services.alarms import Alarm, Recovery, open_from_alerts, record_recoveries
from notify.inbound import alertmanager, cms, mapped, reading, zabbix
from notify.inbound.signals import Signal, severity_of

OLDEST_CLAIM: Final = timedelta(days=7)
CUSTOMER_LABEL: Final = "customer"
NAMED: Final = 20


@dataclass(slots=True)
class Outcome:
    """What became of the signals of one message, or would become of them."""

    incidents: list[Incident] = field(default_factory=list)
    opened: int = 0
    ended: int = 0
    unknown_ends: int = 0
    homeless: int = 0
    """Signals that name no customer in reach."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A signal with what we make of it; `customer` None: it waits for a person."""

    signal: Signal
    customer: Customer | None
    asset: Asset | None
    severity: Severity


def read(source: InboundSource, raw: bytes, content_type: str) -> list[Signal]:
    """The signals in a message of this way in. Raises BadInputError."""
    match source.kind:
        case InboundKind.ALERTMANAGER | InboundKind.GRAFANA:
            return alertmanager.read(raw, customer_label=str(source.config.get("customer_label") or CUSTOMER_LABEL))
        case InboundKind.CMS:
            return cms.read(raw, content_type)
        case InboundKind.ZABBIX:
            return zabbix.read(raw)
        case InboundKind.GENERIC:
            return mapped.read(raw, field_map(source.config))
    raise reading.BadInputError("this way in takes no alarms")


def field_map(config: Mapping[str, object]) -> mapped.FieldMap:
    paths = config.get("paths")
    ended = config.get("ended")
    return mapped.FieldMap(
        {str(name): str(path) for name, path in paths.items()} if isinstance(paths, dict) else {},
        str(config.get("items") or ""),
        tuple(map(str, ended)) if isinstance(ended, list) and ended else mapped.ENDED_WORDS,
    )


def place(source: InboundSource, signals: Sequence[Signal], *, chosen: Customer | None = None) -> list[Placed]:
    """Customer, asset and severity of each signal, in a number of queries that does not grow with them."""
    customers = _customers(source, signals, chosen)
    wanted: dict[int, list[Sequence[str]]] = {}
    for signal, customer in zip(signals, customers, strict=True):
        if customer is not None:
            wanted.setdefault(customer.pk, []).append(signal.names)
    by_pk = {customer.pk: customer for customer in customers if customer is not None}
    known = {pk: placing.find(by_pk[pk], names) for pk, names in wanted.items()}
    own = {str(word): int(value) for word, value in _table(source).items()}
    return [
        Placed(
            signal,
            customer,
            placing.first_of(signal.names, known[customer.pk]) if customer else None,
            Severity(severity_of(signal.severity, own, source.default_severity)),
        )
        for signal, customer in zip(signals, customers, strict=True)
    ]


def take_in(message: InboundMessage, *, now: datetime) -> Outcome:
    """Open, join and end what a message tells. Telling it twice changes nothing. Raises BadInputError."""
    source = message.source
    signals = read(source, bytes(message.raw), message.content_type)
    outcome = Outcome()
    by_customer: dict[Customer, list[Placed]] = {}
    for one in place(source, list({each.key: each for each in signals}.values()), chosen=message.customer):
        if one.customer is None:
            outcome.homeless += 1
        else:
            by_customer.setdefault(one.customer, []).append(one)
    for customer in sorted(by_customer, key=lambda each: each.pk):
        with scope.customer(customer):
            _take_in(source, customer, by_customer[customer], outcome, now)
    return outcome


def _take_in(
    source: InboundSource, customer: Customer, placed: Sequence[Placed], outcome: Outcome, now: datetime
) -> None:
    locks.hold_customer(customer)
    firing = [one for one in placed if one.signal.is_firing]
    ends = {_key(source, one.signal): one.signal for one in placed if not one.signal.is_firing}
    gathers = placing.stand_in(source=source, customer=customer, now=now) if any(not o.asset for o in firing) else None
    with translation.override(customer.language):
        alarms = [_alarm(source, one, one.asset or gathers, now) for one in firing]
    found = open_from_alerts(customer=customer, alarms=[alarm for alarm in alarms if alarm is not None], now=now)
    distinct = list({incident.pk: incident for incident in found}.values())
    outcome.incidents += distinct
    outcome.opened += sum(incident.opened_at == now for incident in distinct)
    open_alerts = IncidentAlert.objects.filter(customer=customer, alert_key__in=ends, recovered_at=None)
    alerts = list(open_alerts.select_related("incident"))
    recoveries = [
        Recovery(alert.incident_id, alert.alert_key, ends[alert.alert_key].text, _when(ends[alert.alert_key], now))
        for alert in alerts
    ]
    record_recoveries(customer=customer, recoveries=recoveries, now=now)
    outcome.incidents += [alert.incident for alert in alerts]
    outcome.ended += len(alerts)
    outcome.unknown_ends += len(ends) - len(alerts)


def _alarm(source: InboundSource, one: Placed, asset: Asset | None, now: datetime) -> Alarm | None:
    if asset is None:
        return None
    signal = one.signal
    where = "" if one.asset else ", ".join(signal.names[:3])
    lines = (signal.text, where, _("Received from “%(source)s”") % {"source": source.name})
    text = "\n\n".join(filter(None, lines))
    return Alarm(asset, one.severity, signal.title, text, _key(source, signal), _when(signal, now))


def _when(signal: Signal, now: datetime) -> datetime:
    return reading.within(signal.occurred_at, now, back=OLDEST_CLAIM)


def _key(source: InboundSource, signal: Signal) -> str:
    return f"in{source.pk}:{signal.key}"


def _table(source: InboundSource) -> Mapping[str, int]:
    table = source.config.get("severities")
    return table if isinstance(table, dict) else {}


def _customers(source: InboundSource, signals: Sequence[Signal], chosen: Customer | None) -> list[Customer | None]:
    """Whose each signal is: the way in's customer, else the one that its words name, else the one a person chose."""
    if source.customer is not None:
        return [source.customer] * len(signals)
    named = {signal.customer.strip().lower() for signal in signals if signal.customer.strip()}
    known: dict[str, Customer | None] = {}
    if named:
        for customer in Customer.objects.exclude(status=Customer.Status.LEFT):
            for name in {customer.name.lower(), customer.short_name.lower(), customer.code.lower()}:
                known[name] = None if name in known else customer  # a name that two share means neither
        owners = CloudAccount.objects.existing().filter(account_uid__in=named).select_related("customer")
        known |= {account.account_uid: account.customer for account in owners}
    return [known.get(signal.customer.strip().lower(), chosen) for signal in signals]
