"""The state of a host: the piece of the asset's page, and the diff of one change as a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from assets.models import Asset
from monitoring.models import Event, HostReading

CHANGES: Final = 30
STATES: Final[Mapping[str, str | Promise]] = {
    "not_permitted": _("The agent may not read this. Its unit needs the rights that docs/agent.md names."),
    "absent": _("This host has none."),
    "skipped": _("Switched off in the agent's configuration."),
    "failed": _("The agent could not read this."),
}
WHYS: Final[Mapping[str, str | Promise]] = {
    "masked_only": _("Only a masked value changed."),
    "no_text": _("The text is not kept: the file is too large or binary, or was never read."),
    "not_permitted": _("The agent may not read this file; its modification time changed."),
}
PROBLEMS: Final[Mapping[str, str | Promise]] = {
    "waiting": _("has not run yet"),
    "refused": _("not run"),
    "not_started": _("could not be started"),
    "timeout": _("took too long and was ended"),
    "too_large": _("said too much and was ended"),
    "failed": _("failed"),
    "not_understood": _("said something that is no figure"),
    "missing": _("no such file"),
    "not_permitted": _("may not be read"),
}


@dataclass(frozen=True, slots=True)
class Port:
    protocol: str
    address: str
    number: int
    process: str


@dataclass(frozen=True, slots=True)
class Run:
    """The last run of a custom script, in words."""

    name: str
    at: datetime | None
    seconds: float
    exit_code: int | None
    problem: str
    detail: str
    items: list[tuple[str, float]]


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """What the agent last told of a host, and what changed before (R36). Customers see their own."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    reading = HostReading.objects.filter(asset=asset).first()
    events = Event.objects.filter(asset=asset, source=Event.Source.HOST).order_by("-occurred_at", "-pk")[:CHANGES]
    context = {"asset": asset, "reading": reading, "changes": [(event, *_words(event)) for event in events]}
    if reading is not None:
        context |= _facts(reading)
    return render(request, "monitoring/_host_state.html", context)


@require_safe
def diff(request: HttpRequest, pk: int) -> HttpResponse:
    """The diff of one change, to keep."""
    event = get_object_or_404(Event.objects, pk=pk)
    response = HttpResponse(f"{event.detail.get('diff', '')}\n", content_type="text/x-diff; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="change-{event.pk}.diff"'
    return response


def _words(event: Event) -> tuple[list[tuple[str, str]], str | Promise]:
    """The lines of a diff with what each is, and why there is none."""
    lines = [(_class_of(line), line) for line in str(event.detail.get("diff", "")).splitlines()]
    return lines, WHYS.get(str(event.detail.get("why", "")), "")


def _class_of(line: str) -> str:
    if line.startswith(("+++", "---")):
        return "text-secondary"
    return {"+": "diff-added", "-": "diff-removed", "@": "text-secondary"}.get(line[:1], "")


def _facts(reading: HostReading) -> dict[str, Any]:
    facts = reading.facts
    firewall = facts.get("firewall", {})
    processes = facts.get("processes", {})
    boot = facts.get("boot")
    return {
        "facts": facts,
        "boot": datetime.fromtimestamp(float(boot), tz=UTC) if boot else None,
        "processes": processes,
        "names": sorted(processes.get("names", {}).items(), key=lambda item: (-item[1], item[0])),
        "ports": list(_ports(facts.get("ports", {}))),
        "firewall": firewall,
        "firewall_text": reading.kept_texts().get(str(firewall.get("digest", "")), ""),
        "logs": [(log, PROBLEMS.get(log.get("problem", ""), "")) for log in facts.get("logs", [])],
        "scripts": [_run(script) for script in facts.get("scripts", [])],
        "hidden": {
            name: _hidden(facts.get(name, {})) for name in ("processes", "ports", "firewall", "accounts", "sudo")
        },
        "passwords_hidden": facts.get("accounts", {}).get("passwords") == "not_permitted",
    }


def _hidden(section: Mapping[str, Any]) -> str | Promise:
    """Why a section shows nothing, or nothing new."""
    return STATES.get(str(section.get("hidden") or section.get("state", "")), "")


def _ports(section: Mapping[str, Any]) -> Iterator[Port]:
    for name, process in section.get("items", {}).items():
        protocol, _, rest = name.partition(" ")
        address, _, number = rest.rpartition(" ")
        yield Port(protocol, address, int(number) if number.isdecimal() else 0, process)


def _run(script: Mapping[str, Any]) -> Run:
    at = script.get("at")
    items = [
        (item["name"] + "".join(f" {key}={text}" for key, text in item.get("labels", {}).items()), item["value"])
        for item in script.get("items", [])
    ]
    return Run(
        name=str(script.get("script", "")),
        at=datetime.fromtimestamp(float(at), tz=UTC) if at else None,
        seconds=float(script.get("seconds", 0.0)),
        exit_code=script.get("exit_code"),
        problem=str(PROBLEMS.get(str(script.get("problem", "")), "")),
        detail=str(script.get("detail", "")),
        items=items,
    )
