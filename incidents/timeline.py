"""Writing the timeline, and reading it aloud in the language of whoever looks."""

from collections.abc import Callable, Mapping
from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from accounts.models import Severity, User
from incidents.models import Clock, Fault, FaultDecision, Incident, Target, ThirdPartyTime, TimelineEntry
from incidents.stages import Stage

Kind = TimelineEntry.Kind
Data = Mapping[str, object]


def write(
    incident: Incident,
    kind: Kind,
    *,
    actor: User | None,
    now: datetime,
    body: str = "",
    data: Data | None = None,
    is_internal: bool = False,
) -> TimelineEntry:
    """Add one entry, in the caller's transaction. Names go into `data` as they are now: history is not renamed."""
    entry = entry_of(incident, kind, actor=actor, now=now, body=body, data=data, is_internal=is_internal)
    entry.save(force_insert=True)
    return entry


def entry_of(
    incident: Incident,
    kind: Kind,
    *,
    actor: User | None,
    now: datetime,
    body: str = "",
    data: Data | None = None,
    is_internal: bool = False,
) -> TimelineEntry:
    """An entry for whoever saves many at once, in the order in which things happened."""
    return TimelineEntry(
        customer_id=incident.customer_id,
        incident=incident,
        at=now,
        kind=kind,
        actor=actor,
        body=body,
        data=dict(data or {}),
        is_internal=is_internal,
    )


def sentence(entry: TimelineEntry) -> str:
    """What happened, as one sentence without the name of who did it."""
    return SENTENCES[Kind(entry.kind)](entry.data)


def _opened(data: Data) -> str:
    if data.get("caller"):
        return _("logged a call from %(caller)s at %(time)s, answered by %(callee)s") % {
            "caller": data["caller"],
            "callee": data.get("callee") or _("the service desk"),
            "time": _clock_time(data.get("called_at")),
        }
    if data.get("earlier"):
        return _("Opened by monitoring; the asset had one before: %(number)s") % {"number": data["earlier"]}
    if data.get("by_monitoring"):
        return _("Opened by monitoring")
    if data.get("request") or data.get("split_from"):
        return _opened_otherwise(data)
    if data.get("via"):
        return _from_outside(data)
    return _("opened the incident")


def _from_outside(data: Data) -> str:
    names = {"way": _way(data), "sender": data.get("sender", "")}
    if data.get("verified"):
        return _("opened the incident by %(way)s") % names
    if data.get("by_person"):
        return _("opened it for %(sender)s, who wrote by %(way)s and is not verified") % names
    return _("Opened by %(way)s from %(sender)s, whose identity is not verified") % names


def _opened_otherwise(data: Data) -> str:
    if data.get("request"):
        return _("asked for it")
    return _("opened it for alerts of %(number)s") % {"number": data["split_from"]}


def _alert(data: Data) -> str:
    return _("Alert: %(title)s (%(severity)s)") % {
        "title": data.get("title", ""),
        "severity": _severity(data.get("severity")),
    }


def _recovery(data: Data) -> str:
    if data.get("how"):
        return _("Ended (%(how)s): %(title)s") % {"how": data["how"], "title": data.get("title", "")}
    return _("Recovered: %(title)s") % {"title": data.get("title", "")}


def _acknowledged(data: Data) -> str:
    if data.get("with"):
        return _("acknowledged it together with %(number)s") % {"number": data["with"]}
    if data.get("by_resolving"):
        return _("responded by resolving the incident")
    if data.get("via") == "phone":
        return _("acknowledged the incident by pressing 1 on the telephone")
    if data.get("via") == "link":
        return _("acknowledged the incident by the link in a message")
    if data.get("via"):
        return _("acknowledged the incident by %(way)s") % {"way": _way(data)}
    return _("acknowledged the incident")


def _commented(data: Data) -> str:
    if data.get("sender"):
        names = {"way": _way(data), "sender": data["sender"]}
        return _("%(sender)s wrote by %(way)s; the sender is not verified") % names
    return _("commented by %(way)s") % {"way": _way(data)} if data.get("via") else _("commented")


def _assigned(data: Data) -> str:
    if not data.get("name"):
        return _("gave the incident back to the team")
    return _("assigned the incident to %(name)s") % {"name": data["name"]}


def _severity_changed(data: Data) -> str:
    names = {"old": _severity(data.get("old")), "new": _severity(data.get("new"))}
    if data.get("by_grouping"):
        return (
            _("A worse incident came under it: the severity went from %(old)s to %(new)s") % names
            if str(data.get("new")) < str(data.get("old"))
            else _("A worse incident was taken out of it: the severity went from %(old)s to %(new)s") % names
        )
    if data.get("by_alert"):
        return _("A worse alert raised the severity from %(old)s to %(new)s") % names
    return _("changed the severity from %(old)s to %(new)s") % names


def _attachment(data: Data) -> str:
    names = data.get("names")
    return _("attached %(names)s") % {"names": ", ".join(map(str, names)) if isinstance(names, list) else ""}


def _resumed(data: Data) -> str:
    return _("replied; work goes on") if data.get("by_reply") else _("took up work again")


def _resolved(data: Data) -> str:
    cause = data.get("cause")
    if data.get("with"):
        return _("resolved it together with %(number)s") % {"number": data["with"]}
    if cause in Incident.Cause.values:
        return _("resolved the incident (cause: %(cause)s)") % {"cause": Incident.Cause(cause).label}
    return _("resolved the incident")


def _stage(data: Data) -> str:
    stage = data.get("stage")
    if stage in Stage.values:
        return _("reported: %(stage)s") % {"stage": Stage(stage).label}
    return _("reported progress")


def _rated(data: Data) -> str:
    return _("gave %(score)s of 5 stars") % {"score": data.get("score", "")}


def _reason(data: Data) -> str:
    code = data.get("code")
    names = {"clock": _clock_name(data.get("clock")), "reason": ""}
    if code in Clock.BreachCode.values:
        names["reason"] = str(Clock.BreachCode(code).label)
    return _("gave the reason why %(clock)s was missed: %(reason)s") % names


def _closed(data: Data) -> str:
    if data.get("with"):
        return _("closed it together with %(number)s") % {"number": data["with"]}
    if data.get("unanswered"):
        return _("Closed by itself: nobody answered in time")
    return _("confirmed the solution and closed the incident") if data.get("confirmed") else _("closed the incident")


def _warning(data: Data) -> str:
    return _("%(clock)s is due at %(time)s") % {
        "clock": _clock_name(data.get("clock")),
        "time": _clock_time(data.get("due_at")),
    }


def _breach(data: Data) -> str:
    return _("%(clock)s was due at %(time)s and has been missed") % {
        "clock": _clock_name(data.get("clock")),
        "time": _clock_time(data.get("due_at")),
    }


def _grouped(data: Data) -> str:
    children = data.get("children")
    if isinstance(children, list):
        return _("took %(numbers)s under it") % {"numbers": ", ".join(map(str, children))}
    if data.get("freed"):
        return _("let %(number)s stand alone again") % {"number": data["freed"]}
    if data.get("from"):
        return _("took it out from under %(number)s: its own clocks run again") % {"number": data["from"]}
    return _("grouped it under %(number)s, whose clocks count for both") % {"number": data.get("under", "")}


def _merged(data: Data) -> str:
    if data.get("undone"):
        return _("took %(number)s apart again: not the same trouble") % {"number": data["undone"]}
    if data.get("into"):
        return _("closed it as a duplicate of %(number)s") % {"number": data["into"]}
    return _("merged its duplicate %(number)s into it") % {"number": data.get("duplicate", "")}


def _split(data: Data) -> str:
    if data.get("from"):
        return _("split it off from %(number)s") % {"number": data["from"]}
    return _("split alerts off into %(number)s") % {"number": data.get("into", "")}


def _escalation(data: Data) -> str:
    said = data.get("people")
    people = [_told(one) for one in said if isinstance(one, Mapping)] if isinstance(said, list) else []
    who = data.get("who")
    names = {
        "step": data.get("step", ""),
        "who": Target(who).label if who in Target.values else "",
        "people": ", ".join(people) or _("nobody could be told"),
    }
    if data.get("by_hand"):
        return _("escalated at once to step %(step)s, %(who)s: %(people)s") % names
    return _("Escalation, step %(step)s, %(who)s: %(people)s") % names


def _told(person: Data) -> str:
    media = person.get("media")
    by = [medium_name(str(medium)) for medium in media] if isinstance(media, list) else []
    name = str(person.get("name", ""))
    return _("%(name)s (%(media)s)") % {"name": name, "media": ", ".join(by)} if by else name


def medium_name(medium: str) -> str:
    """How people call a way of being told."""
    names = {
        "inbox": _("in-app message"),
        "email": _("e-mail"),
        "push": _("push"),
        "sms": _("SMS"),
        "voice": _("phone call"),
    }
    return names.get(medium, medium)


def _called(data: Data) -> str:
    name = {"name": data.get("name", "")}
    if data.get("reached"):
        return _("%(name)s was told by telephone") % name
    if data.get("why") == "cannot_be_called":
        return _("%(name)s cannot be called by the platform: please call by hand") % name
    return _("%(name)s was called and did not answer") % name


REQUEST_SENTENCES: dict[str, Callable[[], str]] = {
    "judged": lambda: _("reviewed the request"),
    "warned": lambda: _("warned of the request and asked for a written confirmation"),
    "accepted": lambda: _("accepted the request"),
    "refused": lambda: _("refused the request"),
    "begun": lambda: _("began the work"),
    "done": lambda: _("finished the work"),
    "withdrawn": lambda: _("withdrew the request"),
}


def _request(data: Data) -> str:
    if data.get("without_change"):
        return _("finished the work; there is no change, because: %(reason)s") % {"reason": data["without_change"]}
    said = REQUEST_SENTENCES.get(str(data.get("what")))
    return said() if said else ""


def _attestation(data: Data) -> str:
    names = {"number": data.get("number", ""), "name": data.get("signer", "")}
    match data.get("outcome"):
        case "signed":
            return _("%(number)s is signed by %(name)s") % names
        case "declined":
            return _("%(number)s is declined by %(name)s") % names
        case "expired":
            return _("%(number)s was not answered in time") % names
    return _("%(number)s is withdrawn") % names


def _quote(data: Data) -> str:
    return _("offered a quote of CNY %(amount)s, valid until %(day)s") % {
        "amount": data.get("amount", ""),
        "day": data.get("until", ""),
    }


def _fault(data: Data) -> str:
    if data.get("proposed"):
        return _("proposed it as a fault: review %(number)s") % {"number": data["proposed"]}
    names = {
        "number": data.get("fault", ""),
        "verdict": _label(FaultDecision.Verdict, data.get("verdict")),
        "outcome": _label(Fault.Outcome, data.get("outcome")),
    }
    return _("decided “%(verdict)s” in review %(number)s; it stands at “%(outcome)s”") % names


def _cause(data: Data) -> str:
    if data.get("answer") == "acknowledged":
        return _("acknowledged that the cause was in their application")
    if data.get("answer") == "disputed":
        return _("disputed that the cause was in their application")
    return _("told the customer, with proof, that the cause was in their application")


def _third_party(data: Data) -> str:
    names = {
        "party": data.get("name") or _label(ThirdPartyTime.Party, data.get("party")),
        "ticket": data.get("ticket") or "—",
        "time": _clock_time(data.get("at")),
    }
    if data.get("back"):
        return _("took it back from %(party)s at %(time)s (ticket %(ticket)s)") % names
    return _("handed it over to %(party)s at %(time)s (ticket %(ticket)s)") % names


def _label(choices: type[models.TextChoices], value: object) -> str:
    return str(choices(value).label) if isinstance(value, str) and value in choices.values else ""


SENTENCES: dict[Kind, Callable[[Data], str]] = {
    Kind.OPENED: _opened,
    Kind.ALERT: _alert,
    Kind.RECOVERY: _recovery,
    Kind.ACKNOWLEDGED: _acknowledged,
    Kind.STAGE: _stage,
    Kind.ASSIGNED: _assigned,
    Kind.SEVERITY: _severity_changed,
    Kind.COMMENT: _commented,
    Kind.NOTE: lambda _data: _("wrote an internal note"),
    Kind.ATTACHMENT: _attachment,
    Kind.WAITING: lambda _data: _("asked the customer and waits for the reply"),
    Kind.RESUMED: _resumed,
    Kind.RESOLVED: _resolved,
    Kind.CLOSED: _closed,
    Kind.REOPENED: lambda _data: _("reopened the incident"),
    Kind.GROUPED: _grouped,
    Kind.MERGED: _merged,
    Kind.SPLIT: _split,
    Kind.REQUEST: _request,
    Kind.ATTESTATION: _attestation,
    Kind.QUOTE: _quote,
    Kind.FAULT: _fault,
    Kind.CAUSE: _cause,
    Kind.THIRD_PARTY: _third_party,
    Kind.RATED: _rated,
    Kind.WARNING: _warning,
    Kind.BREACH: _breach,
    Kind.ESCALATION: _escalation,
    Kind.CALLED: _called,
    Kind.REASON: _reason,
}


def _severity(value: object) -> str:
    return str(Severity(value).label) if isinstance(value, int) and value in Severity.values else ""


def _way(data: Data) -> str:
    """The way in by which it came, as people read it."""
    via = data.get("via")
    return str(Incident.Source(via).label) if isinstance(via, str) and via in Incident.Source.values else ""


def _clock_name(value: object) -> str:
    return str(Clock.Kind(value).label) if isinstance(value, str) and value in Clock.Kind.values else ""


def _clock_time(value: object) -> str:
    moment = parse_datetime(value) if isinstance(value, str) else None
    return clock_time(moment) if moment else ""


def clock_time(moment: datetime) -> str:
    """A moment as the timeline writes it, in local time."""
    return f"{timezone.localtime(moment):%m-%d %H:%M}"
