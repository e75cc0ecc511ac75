"""What the platform knows of an accident, as text that an engineer goes on from: in the report's language.

The text is markdown. What people typed elsewhere comes in with its marks taken off, so that it stays text.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import Severity
from assets.models import Asset, Kind
from incidents import timeline
from incidents.models import Incident, TimelineEntry
from incidents.services import interruptions
from reports.models import AccidentReport
from reports.parts import Part

DATABASES = frozenset({Kind.RDS, Kind.REDIS, Kind.MONGODB, Kind.DRDS, Kind.ELASTICSEARCH, Kind.DATABASE})
MARKS = re.compile(r"([\\`*_\[\]<>#|~])")
MOST_ENTRIES = 200
SMALL_TALK = (TimelineEntry.Kind.WARNING, TimelineEntry.Kind.ATTACHMENT)


def texts(report: AccidentReport, *, now: datetime) -> dict[Part, str]:
    """The parts that can be begun with facts; the others are for people."""
    incident = report.incident
    with translation.override(report.language):
        assets = list(incident.assets.all())
        return {
            Part.FAULT: fault(report, incident, now),
            Part.SYSTEM: system(assets),
            Part.PROCESS: process(entries_of(incident)),
        }


def fault(report: AccidentReport, incident: Incident, now: datetime) -> str:
    """Since when, until when, what was out, which alerts said so."""
    names = {"from": _time(report.outage_started_at)}
    ended = report.outage_ended_at
    if ended is None:
        said = _("The service has been interrupted or abnormal since %(from)s.") % names
    else:
        names |= {"until": _time(ended), "minutes": str(_minutes(report.outage_started_at, ended))}
        said = _("The service was interrupted or abnormal from %(from)s to %(until)s (%(minutes)s minutes).") % names
    severity = _("Severity: %(severity)s") % {"severity": Severity(incident.severity).label}
    lines = [said, severity, plain(incident.title), plain(incident.description)]
    alerts = [
        f"- {_time(alert.occurred_at)} {plain(alert.title)}"
        + (f" → {_('recovered')} {_time(alert.recovered_at)}" if alert.recovered_at else "")
        for alert in incident.alerts.all()[:20]
    ]
    if alerts:
        lines.append("\n".join([_("Alerts:"), "", *alerts]))
    return "\n\n".join(line for line in lines if line)


def system(assets: Sequence[Asset]) -> str:
    """The affected systems, and apart from them the databases."""
    databases = [asset for asset in assets if asset.kind in DATABASES]
    systems = [asset for asset in assets if asset.kind not in DATABASES]
    sections = [
        "\n\n".join([f"### {heading}", *(_asset(asset) for asset in group)])
        for heading, group in ((_("Systems"), systems), (_("Databases"), databases))
        if group
    ]
    return "\n\n".join(sections)


def process(entries: Sequence[TimelineEntry]) -> str:
    """What was done, in the order in which it was; without the internal notes."""
    lines = []
    for entry in entries:
        who = f"{plain(entry.actor.name)} " if entry.actor else ""
        said = f"- {_time(entry.at)} {who}{plain(timeline.sentence(entry))}"
        body = plain(entry.body)
        lines.append(f"{said}: {body}" if body and entry.actor else said)
    return "\n".join(lines)


def entries_of(incident: Incident) -> list[TimelineEntry]:
    """The timeline as the customer may read it."""
    rows = TimelineEntry.objects.filter(incident=incident, is_internal=False).exclude(kind__in=SMALL_TALK)
    return list(rows.select_related("actor")[:MOST_ENTRIES])


def outage_of(incident: Incident, now: datetime) -> tuple[datetime, datetime | None]:
    """From when to when, as far as it is known."""
    found = interruptions.of(incident, now=now)
    return (incident.detected_at, incident.resolved_at) if found is None else (found.started_at, found.ended_at)


def plain(text: str) -> str:
    """One line of text in which no mark of markdown is one."""
    return MARKS.sub(r"\\\1", " ".join(text.split())[:2000])


def _asset(asset: Asset) -> str:
    facts = {
        _("Kind"): asset.get_kind_display(),
        _("Instance ID"): asset.provider_id,
        _("Region"): " ".join(filter(None, (asset.region, asset.zone))),
        _("Specification"): asset.spec,
        _("Operating system"): asset.get_os_display() if asset.os else "",
        _("Engine and version"): asset.engine or asset.product,
        _("Address"): asset.address,
        _("Environment"): asset.get_environment_display(),
        _("Business role"): asset.role_text,
        _("Owner"): asset.owner_name,
    }
    lines = [f"- {name}: {plain(str(value))}" for name, value in facts.items() if value]
    return "\n".join([f"**{plain(asset.name)}**", "", *lines])


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"


def _minutes(start: datetime, end: datetime) -> int:
    return int((end - start).total_seconds() // 60)
