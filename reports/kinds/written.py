"""Reports that people write around what the platform knows: a database's fault (R117), an installation (SOW 6.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from accounts.models import Severity
from assets.models import Asset, Kind
from incidents.models import Incident, TimelineEntry
from reports import facts
from reports.blocks import Block, Column, Part, Remark, Source, Table
from reports.kinds.asking import Asked, PartOf

MOST_ENTRIES: Final = 200


def _fault(asked: Asked) -> Part:
    """The incident that was named, the databases it touched, and what happened in the order of time."""
    incident = Incident.objects.filter(customer=asked.customer, pk=asked.wishes.get("incident") or 0).first()
    blocks: list[Block] = [_resources(asked, list(incident.assets.all()) if incident else _databases(asked))]
    if incident is None:
        blocks.append(Remark(_("No incident was named: only the resources are listed.")))
    else:
        blocks += [_incident(incident), _process(incident)]
    return Part("fault", _("Fault"), tuple(blocks))


def _databases(asked: Asked) -> list[Asset]:
    """Those that somebody named, whatever they are; else every database."""
    return [one for one in asked.assets if asked.wishes.get("assets") or one.kind in facts.DATABASES]


def _incident(incident: Incident) -> Table:
    source = Source(
        _("The incident as it stands."), f"incidents.incident; {incident.number}",
        reverse("incidents:detail", args=[incident.pk]),
    )  # fmt: skip
    rows = (
        (_("Incident"), f"{incident.number} {incident.title}"),
        (_("Severity"), str(Severity(incident.severity).label)),
        (_("Cause"), str(incident.get_cause_display()) if incident.cause else ""),
        (_("Resolution"), incident.resolution),
    )
    return Table(
        "incident",
        _("Incident"),
        (Column(pgettext("of an incident", "Fact")), Column(pgettext("of an incident", "Content"))),
        rows,
        source,
    )


def _process(incident: Incident) -> Table:
    source = Source(
        _("Its timeline, without internal notes."), f"incidents.timelineentry, at; {incident.number}",
        reverse("incidents:detail", args=[incident.pk]),
    )  # fmt: skip
    rows = tuple((entry.at.isoformat(), _who(entry), facts.told(entry)) for entry in facts.entries_of(incident))
    columns = (Column(_("Time"), "time"), Column(_("Who")), Column(_("What happened")))
    return Table("process", _("Timeline"), columns, rows[:MOST_ENTRIES], source)


def _who(entry: TimelineEntry) -> str:
    return entry.actor.name if entry.actor else ""


def _installed(asked: Asked) -> Part:
    return Part("system", _("System"), (_resources(asked, asked.assets),))


def _resources(asked: Asked, assets: Sequence[Asset]) -> Table:
    columns = tuple(
        Column(name)
        for name in (
            _("Name"), _("Kind"), _("Instance ID"), _("Engine and version"), _("Specification"), _("Address"),
            _("Environment"),
        )
    )  # fmt: skip
    rows = tuple(
        (
            one.name, str(Kind(one.kind).label), one.provider_id, one.engine or one.product, one.spec, one.address,
            str(one.get_environment_display()),
        )
        for one in assets
    )  # fmt: skip
    source = Source(_("The inventory."), "assets.asset", f"{reverse('assets:list')}?customer={asked.customer.pk}")
    return Table("resources", pgettext("names", "Resources"), columns, rows, source, empty=_("No resource was named."))


def _by_hand(name: str, title: Promise) -> PartOf:
    """A part that people write; the platform has nothing to say in it."""

    def read(asked: Asked) -> Part:
        return Part(name, str(title))

    return PartOf(name, title, read, is_by_hand=True)


DATABASE_FAULT: Final[Sequence[PartOf]] = (
    PartOf("fault", gettext_lazy("Fault"), _fault),
    _by_hand("cause", gettext_lazy("Cause")),
    _by_hand("solution", gettext_lazy("Solution")),
    _by_hand("avoidance", gettext_lazy("How it is kept from coming again")),
)
INSTALLATION: Final[Sequence[PartOf]] = (
    PartOf("system", gettext_lazy("System"), _installed),
    _by_hand("installation", gettext_lazy("Installation and parameters")),
    _by_hand("checks", gettext_lazy("Checks and results")),
    _by_hand("handover", gettext_lazy("Handover")),
)
