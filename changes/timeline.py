"""What happened to a change, as a sentence in the reader's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from changes.catalogue import after_failure
from changes.models import ApprovalDuty, BackupRecord, ChangeEntry, ChangeFile, HostState, RunState, ScriptRunState
from changes.operations import EXECUTABLES
from changes.words import said
from incidents.models import AttestationAnswer

Data = Mapping[str, object]
Kind = ChangeEntry.Kind


def sentence(entry: ChangeEntry) -> str:
    """Without the name of who did it, which stands before it."""
    kind = Kind(entry.kind)
    return _checked(entry) if kind is Kind.CHECKED else _SENTENCES[kind](entry.data)


def _edited(data: Data) -> str:
    if data.get("emergency"):
        return _("made it an emergency")
    if "owner" in data:
        given = _("gave it to %(name)s") % {"name": data["owner"]} if data["owner"] else _("gave it back to the team")
        return (
            _("%(given)s; %(name)s tests it") % {"given": given, "name": data["tester"]}
            if data.get("tester")
            else given
        )
    return _("rewrote it: revision %(number)s, every word is asked for again") % {"number": data.get("revision")}


def _told(data: Data) -> str:
    if data.get("again"):
        return _("asked the customer again to sign what it said yes to")
    if data.get("approvals_again"):
        return _("told the risk in other words; the customer is asked to sign, and the approvers once more")
    return _("told the risk; the customer is asked to sign")


def _reviewed(data: Data) -> str:
    if data.get("unsigned"):
        return _("reviewed the emergency, whose spoken yes was never signed: %(why)s") % {"why": data["unsigned"]}
    return _("reviewed the emergency")


def _answered(data: Data) -> str:
    outcome = str(data.get("outcome"))
    label = AttestationAnswer.Outcome(outcome).label if outcome in AttestationAnswer.Outcome.values else outcome
    return _("The customer's answer: %(outcome)s") % {"outcome": label}


def _test(data: Data) -> str:
    sentence = _("tested it on %(name)s: passed") if data.get("passed") else _("tested it on %(name)s: failed")
    return sentence % {"name": data.get("asset")}


def _backup(data: Data) -> str:
    method = str(data.get("method"))
    label = BackupRecord.Method(method).label if method in BackupRecord.Method.values else method
    names = {"name": data.get("asset"), "method": label, "reference": data.get("reference")}
    if not data.get("asset"):
        return _("backed up what is changed: %(method)s %(reference)s") % names
    return _("backed %(name)s up: %(method)s %(reference)s") % names


def _restored(data: Data) -> str:
    names = {"name": data.get("name"), "asset": data.get("asset"), "until": _time(data.get("until"))}
    return _("restored %(asset)s to the temporary instance %(name)s, which expires on %(until)s") % names


def _file(data: Data) -> str:
    purpose = str(data.get("purpose"))
    label = ChangeFile.Purpose(purpose).label if purpose in ChangeFile.Purpose.values else purpose
    return _("attached %(name)s (%(purpose)s)") % {"name": data.get("name"), "purpose": label}


def _asked(data: Data) -> str:
    if data.get("again"):
        return _("asked the approvers again")
    people = data.get("people")
    names = ", ".join(map(str, people)) if isinstance(people, list) else ""
    return _("Asked to decide as %(duty)s: %(names)s") % {"duty": _duty(data), "names": names}


def _decided(data: Data) -> str:
    names = {"duty": _duty(data), "for": data.get("for")}
    if data.get("yes"):
        return _("approved as %(duty)s, for %(for)s") % names if data.get("for") else _("approved as %(duty)s") % names
    return _("refused as %(duty)s, for %(for)s") % names if data.get("for") else _("refused as %(duty)s") % names


def _checked(entry: ChangeEntry) -> str:
    code = str(entry.data.get("code"))
    points = {point.code: said(point.words) for point in (*entry.change.checklist, *after_failure())}
    return _("looked at a point of the checklist: %(code)s") % {"code": points.get(code, code)}


def _scheduled(data: Data) -> str:
    if data.get("overruled"):
        return _("overruled the freeze")
    return _("gave it a window: %(from)s – %(until)s") % {name: _time(data.get(name)) for name in ("from", "until")}


def _script(data: Data) -> str:
    state = str(data.get("state"))
    names = {
        "script": data.get("script"),
        "state": ScriptRunState(state).label if state in ScriptRunState.values else state,
    }
    hosts = data.get("hosts")
    counts = hosts if isinstance(hosts, dict) else {}
    told = ", ".join(f"{HostState(one).label} {counts[one]}" for one in HostState.values if counts.get(one))
    return _("had the script %(script)s run: %(state)s") % names + (f" ({told})" if told else "")


def _run(data: Data) -> str:
    if "script_run" in data:
        return _script(data)
    code, state = str(data.get("operation")), str(data.get("state"))
    known = EXECUTABLES.get(code)
    names = {
        "operation": code if known is None else said(known.words),
        "target": data.get("target"),
        "state": RunState(state).label if state in RunState.values else state,
    }
    if data.get("undo"):
        return _("had the platform undo “%(operation)s” on %(target)s: %(state)s") % names
    return _("had the platform carry out “%(operation)s” on %(target)s: %(state)s") % names


def _duty(data: Data) -> str:
    duty = str(data.get("duty"))
    return str(ApprovalDuty(duty).label) if duty in ApprovalDuty.values else duty


def _time(text: object) -> str:
    moment = parse_datetime(str(text))
    return "" if moment is None else f"{timezone.localtime(moment):%m-%d %H:%M}"


_SENTENCES: Mapping[Kind, Callable[[Data], str]] = {
    Kind.CREATED: lambda _data: _("drafted the change"),
    Kind.EDITED: _edited,
    Kind.SUBMITTED: lambda _data: _("handed it in"),
    Kind.RISK_TOLD: _told,
    Kind.ANSWERED: _answered,
    Kind.HEARD: lambda data: _("heard %(name)s say yes on the telephone") % {"name": data.get("name")},
    Kind.TEST: _test,
    Kind.BACKUP: _backup,
    Kind.FILE: _file,
    Kind.ASKED: _asked,
    Kind.DECIDED: _decided,
    Kind.LAPSED: lambda data: _("Nobody decided in time as %(duty)s") % {"duty": _duty(data)},
    Kind.SCHEDULED: _scheduled,
    Kind.READY: lambda _data: _("Every gate is passed"),
    Kind.BEGUN: lambda _data: _("began the work"),
    Kind.FINISHED: lambda _data: _("finished the work; the customer is asked to test"),
    Kind.FAILED: lambda _data: _("says that it failed"),
    Kind.ROLLED_BACK: lambda data: (
        _("rolled it back; %(name)s has verified it") % {"name": data["verified"]}
        if data.get("verified")
        else _("rolled it back")
    ),
    Kind.SIGNED_OFF: lambda _data: _("signed it off"),
    Kind.OBJECTED: lambda _data: _("says that it is not right"),
    Kind.CANCELLED: lambda _data: _("gave it up"),
    Kind.REVIEWED: _reviewed,
    Kind.COMMENT: lambda _data: _("wrote"),
    Kind.RUN: _run,
    Kind.RESTORED: _restored,
}
