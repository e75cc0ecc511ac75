"""What the platform knows of an accident, as text that an engineer goes on from: in the report's language.

The text is markdown. What people typed elsewhere comes in with its marks taken off, so that it stays text.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from django.db.models import Count
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Severity
from assets.models import Asset, Kind
from bastion.models import BastionSession
from bastion.services import around
from incidents import timeline
from incidents.models import Incident, TimelineEntry
from incidents.services import interruptions
from reports.models import AccidentReport
from reports.parts import Part

DATABASES = frozenset({Kind.RDS, Kind.REDIS, Kind.MEMCACHE, Kind.MONGODB, Kind.DRDS, Kind.ELASTICSEARCH, Kind.DATABASE})
MARKS = re.compile(r"([\\`*_\[\]<>#|~])")
MOST_ENTRIES = MOST_SESSIONS = 200
SMALL_TALK = (TimelineEntry.Kind.WARNING, TimelineEntry.Kind.ATTACHMENT)


def texts(report: AccidentReport, *, now: datetime) -> dict[Part, str]:
    """The parts that can be begun with facts; the others are for people."""
    incident = report.incident
    with translation.override(report.language):
        assets = list(incident.assets.all())
        return {
            Part.FAULT: fault(report, incident, now),
            Part.SYSTEM: system(assets),
            Part.PROCESS: process(entries_of(incident), sessions_of(incident)),
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
    recovered = _("recovered")
    alerts = [
        f"- {_time(alert.occurred_at)} {plain(alert.title)}"
        + (f" → {recovered} {_time(alert.recovered_at)}" if alert.recovered_at else "")
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


def process(entries: Sequence[TimelineEntry], sessions: Sequence[BastionSession] = ()) -> str:
    """What was done, in the order in which it was, sessions on hosts included; without the internal notes."""
    lines = [(entry.at, _entry(entry)) for entry in entries]
    lines += [(session.opened_at, _session(session)) for session in sessions if session.opened_at]
    return "\n".join(line for _at, line in sorted(lines, key=lambda line: line[0]))


def entries_of(incident: Incident) -> list[TimelineEntry]:
    """The timeline as the customer may read it."""
    rows = TimelineEntry.objects.filter(incident=incident, is_internal=False).exclude(kind__in=SMALL_TALK)
    return list(rows.select_related("actor")[:MOST_ENTRIES])


def told(entry: TimelineEntry) -> str:
    """What happened, and what a person wrote about it, as one line."""
    sentence, body = timeline.sentence(entry), " ".join(entry.body.split())
    return _told(sentence, body) if body and entry.actor else sentence


def sessions_of(incident: Incident) -> list[BastionSession]:
    """Who was on which host for it, with `commands`: how many were typed there."""
    rows = around.of_incident(incident).select_related("person", "asset").annotate(commands=Count("sessioncommands"))
    return list(rows.order_by("opened_at")[:MOST_SESSIONS])


def outage_of(incident: Incident, now: datetime) -> tuple[datetime, datetime | None]:
    """From when to when, as far as it is known."""
    found = interruptions.of(incident, now=now)
    return (incident.detected_at, incident.resolved_at) if found is None else (found.started_at, found.ended_at)


def plain(text: str) -> str:
    """One line of text in which no mark of markdown is one."""
    return MARKS.sub(r"\\\1", " ".join(text.split())[:2000])


def _entry(entry: TimelineEntry) -> str:
    who = f"{plain(entry.actor.name)} " if entry.actor else ""
    return f"- {_time(entry.at)} {who}{plain(told(entry))}"


def _session(session: BastionSession) -> str:
    names = {"name": session.asset.name, "account": session.account, "until": _time(session.ended_at)}
    if session.ended_at:
        said = _("connected to %(name)s as %(account)s through the bastion, until %(until)s") % names
    else:
        said = _("connected to %(name)s as %(account)s through the bastion") % names
    count = getattr(session, "commands", 0)
    typed = ngettext("%(n)d command", "%(n)d commands", count) % {"n": count}
    return f"- {_time(session.opened_at)} {plain(session.person.name)} {plain(said)} ({typed})"


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
    lines = [_told(f"- {name}", plain(str(value))) for name, value in facts.items() if value]
    return "\n".join([f"**{plain(asset.name)}**", "", *lines])


def _told(name: str, value: str) -> str:
    """With the colon of the report's language."""
    return _("%(name)s: %(value)s") % {"name": name, "value": value}


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"


def _minutes(start: datetime, end: datetime) -> int:
    return int((end - start).total_seconds() // 60)
