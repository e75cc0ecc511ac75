"""The life of an alert in moments, in the language of whoever looks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from monitoring import wording
from monitoring.models import Alert, Held
from monitoring.services import holding

CHANGES_SHOWN: Final = 8
ICONS: Final = {Held.SILENCED: "bell-off", Held.INHIBITED: "sitemap", Held.FLAPPING: "activity"}


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened to an alert."""

    at: datetime
    icon: str
    text: str
    tone: str = "secondary"


def of(alert: Alert) -> list[Moment]:
    """In the order of time."""
    found = [
        Moment(alert.first_breach_at, "point", _("First bad point")),
        Moment(alert.opened_at, "bell-ringing", _("Fired"), "danger"),
        *_holds(alert),
        *_told(alert),
        *_changes(alert),
    ]
    if alert.stale_since is not None:
        found.append(Moment(alert.stale_since, "plug-connected-x", _("No data since; the alert stays open"), "warning"))
    if alert.recovered_at is not None:
        tone = "success" if alert.ending in ("recovered", "data_back") else "secondary"
        found.append(Moment(alert.recovered_at, "check", str(alert.get_ending_display()), tone))
    return sorted(found, key=lambda moment: moment.at)


def _holds(alert: Alert) -> list[Moment]:
    found = []
    for hold in alert.holds.select_related("silence", "by_alert__asset").order_by("from_at"):
        reason = holding.reason_of(hold)
        found.append(Moment(hold.from_at, ICONS[reason.kind], reason.text, "azure"))
        if hold.until_at is not None:
            over = {"kind": Held(hold.kind).label}
            found.append(Moment(hold.until_at, "bell", _("No longer so: %(kind)s") % over, "azure"))
    return found


def _told(alert: Alert) -> list[Moment]:
    found = [Moment(alert.detected_at, "eye", _("Detected"))]
    if alert.notified_at is not None:
        found.append(Moment(alert.notified_at, "send", _("First message")))
    if alert.acknowledged_at is not None:
        name = alert.acknowledged_by.name if alert.acknowledged_by else ""
        text = _("Acknowledged by %(name)s") % {"name": name} if name else pgettext("alert", "Acknowledged")
        if alert.ack_until is not None:
            text += _(", until %(time)s") % {"time": wording.clock(alert.ack_until)}
        if alert.ack_comment:
            text += f": {alert.ack_comment}"
        found.append(Moment(alert.acknowledged_at, "user-check", text, "primary"))
    if alert.ack_expired_at is not None:
        found.append(Moment(alert.ack_expired_at, "user-x", _("The acknowledgement is over"), "warning"))
    return found


def _changes(alert: Alert) -> list[Moment]:
    if alert.flapping_since is None and not alert.flaps:
        return []
    found = []
    if alert.flapping_since is not None:
        found.append(Moment(alert.flapping_since, ICONS[Held.FLAPPING], holding.flapping_text(alert), "purple"))
    for ts, is_bad in alert.flaps[-CHANGES_SHOWN:]:
        at = datetime.fromtimestamp(ts / 1000, tz=UTC)
        found.append(Moment(at, "arrow-up" if is_bad else "arrow-down", _("bad again") if is_bad else _("good again")))
    return found
