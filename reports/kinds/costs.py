"""Cost report: a month's bills by product and day, the trend, what would save money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from costs.models import CostAnomaly, ProposalState, SavingProposal
from costs.services import figures as bills
from costs.services.figures import MonthView
from reports.blocks import Block, Chart, Column, Curve, Figure, Figures, Finding, Part, Remark, Source, Table
from reports.kinds.asking import Asked, PartOf

CNY: Final = "CNY"
WAITING: Final = (ProposalState.PROPOSED, ProposalState.ACCEPTED)


def read(asked: Asked) -> Part:
    view = bills.month_view(asked.customer, asked.month, asked.now)
    months = bills.months(asked.customer.pk, asked.month)
    this, before = known(months[-1]), known(months[-2])
    unread = _("No bill of this month was read.")
    path = f"{reverse('costs:customer', args=[asked.customer.pk])}?month={asked.month}"
    source = Source(_("Bills of Alibaba Cloud by product and day."), "costs.billline, day", path)
    blocks: list[Block] = []
    if view.missing:
        text = ngettext(
            "The bill of %(n)d day is not known.", "The bills of %(n)d days are not known.", len(view.missing)
        )
        blocks.append(Remark(text % {"n": len(view.missing)}, is_warning=True))
    blocks += [
        Figures(
            (
                Figure("total", _("Costs"), this, source, kind="money", unit=CNY, better="down",
                       note=unread if this is None else ""),
                Figure("before", _("Costs of the month before"), before, source, kind="money", unit=CNY),
                Figure("saving", _("Open proposals would save each month"), float(bills.open_saving(asked.customer)),
                       source, kind="money", unit=CNY),
            )
        ),
        _products(view if this is not None else None, before is not None, source),
        _trend(months, source),
        _anomalies(asked, unread if this is None else _("None.")),
        _proposals(asked),
    ]  # fmt: skip
    return Part("costs", _("Costs"), tuple(blocks), tuple(_findings(view)))


def _products(view: MonthView | None, is_before_known: bool, source: Source) -> Table:
    """Without a view no bill of the month was read."""
    columns = (
        Column(_("Product")), Column(_("This month"), "money", CNY), Column(_("Month before"), "money", CNY),
        Column(_("Paid as one goes"), "money", CNY), Column(_("Resources"), "number"),
    )  # fmt: skip
    rows = tuple(
        (one.name, float(one.amount), float(one.before) if is_before_known else None, float(one.usage), one.resources)
        for one in (view.products if view else ())
    )
    return Table("products", _("Costs by product"), columns, rows, source, empty=_("No bill of this month was read."))


def _trend(months: Sequence[bills.MonthSum], source: Source) -> Chart:
    labels = tuple(str(one.month) for one in months)
    return Chart("trend", _("Costs by month"), labels, (Curve(_("Costs"), tuple(map(known, months))),), source,
                 shape="bar", unit=CNY, lowest=0)  # fmt: skip


def known(one: bills.MonthSum) -> float | None:
    """What a month cost; None where no day of it was read."""
    return float(one.amount) if one.days_read else None


def _anomalies(asked: Asked, empty: str) -> Table:
    days = asked.days()
    first, last = days[0].date(), days[-1].date()
    rows = CostAnomaly.objects.filter(customer=asked.customer, first_day__lte=last, last_day__gte=first)
    columns = (
        Column(_("From"), "day"), Column(pgettext("day", "Until"), "day"), Column(_("Product")),
        Column(_("On the worst day"), "money", CNY),
        Column(pgettext("amount", "Usual"), "money", CNY), Column(_("Above the usual in all"), "money", CNY),
    )  # fmt: skip
    shown = tuple(
        (
            one.first_day.isoformat(), one.last_day.isoformat(), one.product_name, float(one.amount), float(one.usual),
            float(one.excess),
        )
        for one in rows.order_by("first_day", "pk")
    )  # fmt: skip
    source = Source(
        _("Against the same weekdays before, by the customer's threshold."), "costs.costanomaly",
        f"{reverse('costs:anomalies')}?customer={asked.customer.pk}",
    )  # fmt: skip
    return Table("anomalies", _("Days out of the ordinary"), columns, shown, source, empty=empty)


def _proposals(asked: Asked) -> Table:
    rows = SavingProposal.objects.filter(customer=asked.customer, state__in=WAITING).select_related("asset")
    columns = (Column(_("Proposal")), Column(_("Resource")), Column(_("Saves each month"), "money", CNY))
    shown = tuple(
        (
            str(one.get_kind_display()),
            one.asset.name if one.asset else one.instance_id,
            None if one.monthly is None else float(one.monthly),
        )
        for one in rows
    )
    source = Source(_("From the monitoring data and the bills."), "costs.savingproposal", reverse("costs:proposals"))
    return Table("proposals", _("Proposals to save"), columns, shown, source, empty=_("Nothing is proposed."))


def _findings(view: MonthView) -> list[Finding]:
    change = view.change_so_far
    if change is None:
        return []
    if change > 10:
        return [Finding("bad", _("Costs rose by %(change).0f %% against the month before.") % {"change": change})]
    if change < -5:
        return [Finding("good", _("Costs fell by %(change).0f %% against the month before.") % {"change": -change})]
    return []


COSTS: Final[Sequence[PartOf]] = (PartOf("costs", gettext_lazy("Costs"), read),)
