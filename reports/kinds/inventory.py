"""Inventory: every resource that is looked after, with whom to ask and until when it is paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from assets.models import Asset, Kind
from reports.blocks import Cell, Column, Figure, Figures, Finding, Part, Source, Table
from reports.kinds.asking import MOST_ROWS, Asked, PartOf
from reports.kinds.words import day

DRAWN: Final = 2000


def read(asked: Asked) -> Part:
    there = [one for one in asked.assets if one.retired_at is None or one.retired_at >= asked.until]
    source = Source(
        _("Resources that were not retired at the end of the stretch."), "assets.asset",
        f"{reverse('assets:list')}?customer={asked.customer.pk}",
    )  # fmt: skip
    counts = Counter(one.kind for one in there)
    nameless = sum(not one.owner_name for one in there)
    findings = []
    if nameless:
        text = ngettext("Name an owner for %(n)d resource.", "Name an owner for %(n)d resources.", nameless)
        findings.append(Finding("next", text % {"n": nameless}))
    blocks = (
        Figures((Figure("resources", _("Resources"), len(there), source),
                 Figure("nameless", _("Without an owner"), nameless, source, better="down"))),
        Table("kinds", _("Resources by kind"), (Column(_("Kind")), Column(_("Resources"), "number")),
              tuple((str(Kind(kind).label), count) for kind, count in counts.most_common()), source),
        Table("resources", pgettext("names", "Resources"), _columns(),
              tuple(_row(one) for one in there[:MOST_ROWS]), source,
              left_out=max(len(there) - MOST_ROWS, 0), empty=_("No resource is looked after."), drawn=DRAWN),
    )  # fmt: skip
    return Part("inventory", _("Inventory"), blocks, tuple(findings))


def _columns() -> tuple[Column, ...]:
    names = (
        _("Name"), _("Kind"), _("Instance ID"), _("Region"), _("Specification"), _("Address"), _("Environment"),
        _("Business role"), _("Owner"),
    )  # fmt: skip
    return (*(Column(name) for name in names), Column(_("Paid until"), "day"))


def _row(one: Asset) -> tuple[Cell, ...]:
    return (
        one.name, str(Kind(one.kind).label), one.provider_id, one.region, one.spec, one.address,
        str(one.get_environment_display()), one.role_text, one.owner_name, day(one.expires_at),
    )  # fmt: skip


INVENTORY: Final[Sequence[PartOf]] = (PartOf("inventory", gettext_lazy("Inventory"), read),)
