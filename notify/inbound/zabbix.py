"""Zabbix by a media type "webhook" whose script sends the JSON that `docs/ways-in.md` gives: our own small contract."""

from __future__ import annotations

from typing import Final

from notify.inbound import reading
from notify.inbound.reading import BadInputError
from notify.inbound.signals import Signal, distinct

PROBLEM, RECOVERY = "1", "0"
UNRESOLVED: Final = "{"
"""A macro that Zabbix could not fill in comes as it was written: `{EVENT.RECOVERY.TIME}`."""


def read(raw: bytes) -> list[Signal]:
    """The one problem or recovery of a message; an update (a comment, an acknowledgement) is none. BadInputError."""
    body = {name: "" if str(value).startswith(UNRESOLVED) else value for name, value in _body(raw).items()}
    event = reading.text(body.get("event_id"), 40)
    value = reading.text(body.get("event_value"), 4)
    if not event.isdecimal() or value not in (PROBLEM, RECOVERY):
        raise BadInputError("event_id or event_value is missing: use the script of docs/ways-in.md")
    if reading.text(body.get("event_update_status"), 4) == "1":
        return []
    firing = value == PROBLEM
    moment = body.get("event_time") if firing else body.get("recovery_time") or body.get("event_time")
    lines = (
        reading.block(body.get("message"), 3000),
        reading.text(body.get("operational_data"), 300),
        reading.text(body.get("trigger_url"), 500),
    )
    return [
        Signal(
            key=event,
            is_firing=firing,
            severity=reading.text(body.get("severity"), 40),
            title=reading.text(body.get("name") or body.get("subject"), 200) or f"Zabbix {event}",
            text="\n\n".join(filter(None, lines)),
            occurred_at=reading.moment(moment),
            names=distinct(*(reading.text(body.get(name), 120) for name in ("host", "host_name", "host_ip"))),
            customer=reading.text(body.get("customer"), 80),
        )
    ]


def _body(raw: bytes) -> dict[str, object]:
    return dict(reading.mapping(reading.loads(raw)))
