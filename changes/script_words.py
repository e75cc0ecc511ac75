"""What is wrong with a script, and what went wrong with one on a host, as sentences in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from assets.words import SSH_PROBLEMS
from changes.catalogue import Type
from changes.models.scripts import HostState, ScriptLine

FAULTS: Final[Mapping[str, str | Promise]] = {
    "bad_code": gettext_lazy("The code has small letters, digits and hyphens, such as service-restart."),
    "no_body": gettext_lazy("The script is empty."),
    "body_too_long": gettext_lazy("The script is too long: at most 64 000 bytes."),
    "no_accounts": gettext_lazy("Please say with which accounts it may run."),
    "timeout": gettext_lazy("The time-out is between 1 and 900 seconds."),
    "output_limit": gettext_lazy("The output is cut after 1 to 1 048 576 bytes."),
    "bad_patch": gettext_lazy(
        "The patch is a name on one line, and a script that only reads brings none: it would change something."
    ),
    "too_many_parameters": gettext_lazy("A script has at most 12 parameters."),
    "bad_parameter": gettext_lazy("A parameter needs name, type, en and zh; a choice its choices."),
    "bad_name": gettext_lazy("The name of a parameter has small letters, digits and _, and is there once."),
    "bad_type": gettext_lazy("A parameter of a script cannot be of this type."),
    "not_named": gettext_lazy("The change must name a script, such as service-restart or service-restart@2."),
    "bad_line": gettext_lazy("Parameters are lines of the form name=value."),
    "unknown_parameter": gettext_lazy("The script has no such parameter."),
}
PROBLEMS: Final[Mapping[str, str | Promise]] = {
    **SSH_PROBLEMS,
    "by_hand": gettext_lazy("Windows hosts are not reached over SSH: an engineer does it there."),
    "no_account": gettext_lazy("None of the accounts that the script may use is written down for this host."),
    "no_secret": gettext_lazy("No secret was entered for the account."),
    "moved": gettext_lazy(
        "The host or its account is not the one that the dry run showed any more. Nothing was sent: make it again."
    ),
    "asset_retired": gettext_lazy("The asset was retired. Nothing was sent."),
    "exit": gettext_lazy("The script ended with an error."),
    "signal": gettext_lazy("The script was killed on the host."),
    "timed_out": gettext_lazy("The host stopped it: it took longer than its time-out."),
    "incomplete": gettext_lazy("Not all of the script arrived, so the host did not run it."),
    "timeout": gettext_lazy("The host did not say in time how it ended. It may still be running: please look there."),
    "lost": gettext_lazy("The connection broke while it ran. It may have been done, or half of it: please look there."),
    "worker_lost": gettext_lazy(
        "The platform was interrupted while it ran. It may have been done, or half of it: please look there."
    ),
    "busy": gettext_lazy("Another script is running on this host."),
    "canary_done": gettext_lazy("The canary is done: look at its output, then go on."),
    "canary_failed": gettext_lazy("The canary did not succeed. Nothing was done on the other hosts."),
    "too_many_failures": gettext_lazy("More hosts failed than allowed."),
    "paused_by_person": gettext_lazy("Paused by a person."),
    "stopped_by_person": gettext_lazy("Stopped by a person."),
    "replaced": gettext_lazy("A newer dry run took its place."),
    "not_executing": gettext_lazy("The change is not being carried out any more."),
    "rewritten": gettext_lazy("The change was rewritten."),
    "tampered": gettext_lazy("The script is not what was approved."),
    "retired": gettext_lazy("The script was withdrawn."),
}

TYPES: Final[Mapping[Type, str | Promise]] = {
    Type.NAME: gettext_lazy("one word"),
    Type.TEXT: pgettext_lazy("parameter", "text"),
    Type.INTEGER: gettext_lazy("a whole number"),
    Type.BOOLEAN: gettext_lazy("yes or no"),
    Type.CHOICE: gettext_lazy("one of a list"),
    Type.IP: gettext_lazy("an IP address"),
    Type.CIDR: gettext_lazy("a range of addresses"),
    Type.DOMAIN: gettext_lazy("a domain name"),
    Type.PATH: gettext_lazy("a path"),
}
HOST_STATES: Final[Mapping[str, str | Promise]] = {state.value: state.label for state in HostState}


def fault_text(code: str, detail: str = "") -> str:
    said = str(FAULTS.get(code, code))
    return f"{said} ({detail})" if detail else said


def type_text(kind: Type) -> str:
    """What a parameter takes."""
    return str(TYPES.get(kind, kind.value))


def problem_text(code: str) -> str:
    return str(PROBLEMS.get(code, code)) if code else ""


def line_text(line: ScriptLine) -> str:
    """Without who and when, which stand before it."""
    kind, data = ScriptLine.Kind(line.kind), line.data
    why = problem_text(str(data.get("code", "")))
    names = {
        "hosts": data.get("hosts", ""),
        "host": data.get("host", ""),
        "as": HOST_STATES.get(str(data.get("as", "")), ""),
        "words": data.get("words", ""),
    }
    said = _sentences()[kind] % names
    return f"{said}: {why}" if why else said


def _sentences() -> Mapping[ScriptLine.Kind, str]:
    kind = ScriptLine.Kind
    return {
        kind.PLANNED: _("planned it for %(hosts)s hosts; nothing was sent"),
        kind.STARTED: _("started it"),
        kind.BATCH: _("Runs on %(hosts)s"),
        kind.PAUSING: _("wants it paused: no further host is begun"),
        kind.PAUSED: _("Paused"),
        kind.WENT_ON: _("goes on"),
        kind.STOPPING: _("wants it stopped: no further host is begun"),
        kind.STOPPED: _("Stopped"),
        kind.DONE: _("Every host has had its turn"),
        kind.JUDGED: _("has looked at %(host)s: %(as)s. %(words)s"),
        kind.AGAIN: _("has %(host)s done once more"),
    }
