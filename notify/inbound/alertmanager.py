"""Prometheus Alertmanager's webhook (version "4") and Grafana's unified alerting, which sends the same and more.

Alertmanager: prometheus.io/docs/alerting/latest/configuration/#webhook_config. Grafana: "webhook notifier", version 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from notify.inbound import reading
from notify.inbound.reading import BadInputError
from notify.inbound.signals import MOST, Signal, distinct, short_key

NAMING: Final = (
    "instance_id", "instanceid", "instanceId", "asset", "host", "hostname", "nodename", "node", "server", "instance",
    "ip", "address", "target", "url", "domain", "db_instance", "name",
)  # fmt: skip
"""Labels that may name the thing that is ill, the surest first."""
VERSIONS: Final = ("1", "4")
NOT_ENDED: Final = "0001-01-01"


def read(raw: bytes, *, customer_label: str = "customer") -> list[Signal]:
    """Every alert of the group, firing ones and resolved ones. Raises BadInputError."""
    body = reading.mapping(reading.loads(raw))
    if reading.text(body.get("version")) not in VERSIONS:
        raise BadInputError("neither version 4 of Alertmanager nor version 1 of Grafana")
    shared = _words(body.get("commonAnnotations"))
    alerts = reading.items(body.get("alerts"), "alerts", MOST)
    return [_signal(reading.mapping(alert, "an alert"), shared, customer_label) for alert in alerts]


def _signal(alert: Mapping[str, object], shared: dict[str, str], customer_label: str) -> Signal:
    labels, notes = _words(alert.get("labels")), shared | _words(alert.get("annotations"))
    status = reading.text(alert.get("status"))
    if status not in ("firing", "resolved"):
        raise BadInputError("an alert is neither firing nor resolved")
    name = labels.get("alertname", "")
    title = notes.get("summary") or notes.get("title") or " ".join(filter(None, (name, labels.get("instance", ""))))
    ended = reading.text(alert.get("endsAt"))
    told = ended if status == "resolved" and not ended.startswith(NOT_ENDED) else alert.get("startsAt")
    return Signal(
        key=reading.text(alert.get("fingerprint"), 80) or short_key(*(f"{k}={v}" for k, v in sorted(labels.items()))),
        is_firing=status == "firing",
        severity=labels.get("severity") or labels.get("priority") or labels.get("level") or "",
        title=reading.text(title, 200) or "Alertmanager",
        text=_text(alert, labels, notes),
        occurred_at=reading.moment(told),
        names=distinct(*(labels[label] for label in NAMING if labels.get(label))),
        customer=labels.get(customer_label, ""),
    )


def _words(value: object) -> dict[str, str]:
    """Labels or annotations: names with texts."""
    if not isinstance(value, dict):
        return {}
    return {reading.text(name, 100): reading.block(word, 2000) for name, word in list(value.items())[:100]}


def _text(alert: Mapping[str, object], labels: dict[str, str], notes: dict[str, str]) -> str:
    shown = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    address = reading.text(alert.get("generatorURL"), 500)
    values = reading.text(alert.get("valueString"), 500)
    lines = (notes.get("description") or notes.get("message") or "", values, shown, address)
    return reading.block("\n\n".join(filter(None, lines)), 4000)
