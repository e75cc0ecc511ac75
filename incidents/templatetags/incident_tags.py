"""How incidents read on a page: clocks, sentences of the timeline, spans of time."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join, urlize
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from incidents import permissions, prose, timeline
from incidents.faces import Face, nearest
from incidents.mentions import MARKS
from incidents.models import Attachment, Incident, RequestPhase, Target, TimelineEntry
from incidents.models.satisfaction import BEST
from incidents.states import Phase, State, Verb
from incidents.uploads import PICTURES

register = template.Library()

STATE_TONES = {
    State.OPEN: ("red", "bell-ringing"),
    State.ACKNOWLEDGED: ("blue", "progress"),
    State.WAITING_CUSTOMER: ("yellow", "hourglass"),
    State.RESOLVED: ("green", "check"),
    State.CLOSED: ("secondary", "lock"),
}
REASONS: Final = {
    "not set up": gettext_lazy("not set up on this platform"),
    "no number": gettext_lazy("no phone number"),
    "no device": gettext_lazy("no device takes push messages"),
    "unwanted": gettext_lazy("not wanted, or not possible"),
}
KIND_TONES = {
    "opened": ("blue", "flag"),
    "alert": ("red", "bell-ringing"),
    "recovery": ("green", "heartbeat"),
    "acknowledged": ("blue", "hand-stop"),
    "stage": ("blue", "speakerphone"),
    "assigned": ("blue", "user-check"),
    "severity": ("orange", "arrows-up-down"),
    "comment": ("secondary", "message"),
    "note": ("yellow", "note"),
    "attachment": ("secondary", "paperclip"),
    "waiting": ("yellow", "hourglass"),
    "resumed": ("blue", "player-play"),
    "resolved": ("green", "check"),
    "closed": ("secondary", "lock"),
    "reopened": ("red", "rotate"),
    "grouped": ("purple", "hierarchy"),
    "merged": ("purple", "git-merge"),
    "split": ("purple", "arrows-split"),
    "request": ("teal", "clipboard-check"),
    "attestation": ("indigo", "signature"),
    "quote": ("indigo", "file-invoice"),
    "fault": ("red", "gavel"),
    "cause": ("orange", "target-arrow"),
    "third_party": ("cyan", "arrows-exchange"),
    "rated": ("yellow", "star"),
    "reason": ("secondary", "clock-question"),
    "warning": ("yellow", "clock-exclamation"),
    "breach": ("red", "clock-x"),
    "escalation": ("orange", "phone-outgoing"),
}


PHASE_TONES = {
    Phase.RECEIVED: "red",
    Phase.REVIEW: "blue",
    Phase.ACCEPTED: "teal",
    Phase.IN_WORK: "blue",
    Phase.DONE: "green",
    Phase.CONFIRMED: "secondary",
    Phase.REFUSED: "orange",
    Phase.WITHDRAWN: "secondary",
}
WAY = (Phase.RECEIVED, Phase.REVIEW, Phase.ACCEPTED, Phase.IN_WORK, Phase.DONE, Phase.CONFIRMED)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a request on its way. `tone`: past, now or ahead."""

    label: str
    tone: str

    @property
    def is_now(self) -> bool:
        return self.tone == "now"


@register.filter
def phase_tone(incident: Incident) -> str:
    return "secondary" if incident.step is None else PHASE_TONES[incident.step]


@register.filter
def phase_steps(incident: Incident) -> list[Step]:
    """The way of a request; one that was refused or withdrawn ends there."""
    step = incident.step
    if step is None:
        return []
    way = WAY if step in WAY else (Phase.RECEIVED, Phase.REVIEW, step)
    here = way.index(step)
    tones = ["past" if place < here else "now" if place == here else "ahead" for place in range(len(way))]
    return [Step(str(RequestPhase(each).label), tone) for each, tone in zip(way, tones, strict=True)]


@register.filter
def media(names: Iterable[str]) -> str:
    """Ways of being told, as people call them."""
    return ", ".join(timeline.medium_name(name) for name in names)


@register.filter
def missing(why: Mapping[str, str]) -> str:
    """By which ways somebody cannot be told, and why not."""
    return ", ".join(f"{timeline.medium_name(name)}: {REASONS.get(reason, reason)}" for name, reason in why.items())


@register.filter
def target(who: str) -> str:
    """Whom a step calls, in words."""
    return str(Target(who).label)


@register.filter
def names(pks: Iterable[int], people: Mapping[int, str]) -> str:
    return ", ".join(people[pk] for pk in pks if pk in people)


@register.filter
def span(used: timedelta | None) -> str:
    """A stretch of time in the two units that matter: `3 h 20 min`."""
    if used is None:
        return ""
    minutes = int(used.total_seconds()) // 60
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    if days:
        text = _("%(days)d d %(hours)d h") if hours else _("%(days)d d")
    elif hours:
        text = _("%(hours)d h %(minutes)d min") if minutes else _("%(hours)d h")
    else:
        text = _("under 1 min") if used and not minutes else _("%(minutes)d min")
    return text % {"days": days, "hours": hours, "minutes": minutes}


@register.filter
def seconds_span(seconds: int | None) -> str:
    return "" if seconds is None else span(timedelta(seconds=seconds))


@register.filter
def stars(score: int) -> list[bool]:
    """Five stars, of which so many are filled."""
    return [place <= score for place in range(1, BEST + 1)]


@register.filter
def state_tone(incident: Incident) -> str:
    return STATE_TONES[incident.stage][0]


@register.filter
def state_icon(incident: Incident) -> str:
    return STATE_TONES[incident.stage][1]


@register.filter
def kind_tone(entry: TimelineEntry) -> str:
    return KIND_TONES[entry.kind][0]


@register.filter
def kind_icon(entry: TimelineEntry) -> str:
    return KIND_TONES[entry.kind][1]


@register.filter
def sentence(entry: TimelineEntry) -> str:
    return timeline.sentence(entry)


@register.filter(name="prose")
def as_prose(text: str) -> SafeString:
    """Markdown that people wrote, cleaned by `incidents.prose`."""
    return SafeString(prose.html(text))


@register.filter
def said(entry: TimelineEntry) -> SafeString:
    """What somebody wrote, with links and with the names of those whom it speaks to set apart."""
    named = sorted({each["name"] for each in entry.data.get("mentions", []) if each.get("name")}, key=len, reverse=True)
    if not named:
        return _linked(entry.body)
    spoken = re.compile(f"([{''.join(MARKS)}](?:{'|'.join(map(re.escape, named))}))", re.IGNORECASE)
    pieces = enumerate(spoken.split(entry.body))
    marked = (
        format_html('<span class="mention">{}</span>', text) if odd % 2 else _linked(text) for odd, text in pieces
    )
    return format_html_join("", "{}", ((piece,) for piece in marked))


def _linked(text: str) -> SafeString:
    return mark_safe(urlize(text, nofollow=True, autoescape=True))  # noqa: S308 - urlize has escaped it


@register.filter
def is_picture(attachment: Attachment) -> bool:
    return attachment.content_type in PICTURES


@register.simple_tag
def face(incident: Incident, now: datetime | None = None) -> Face | None:
    """The clock of a card or row."""
    return nearest(incident, now=now or timezone.now())


@register.simple_tag
def may(person: User, verb: str, incident: Incident) -> bool:
    return permissions.may(person, Verb(verb), incident)
