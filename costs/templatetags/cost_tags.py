"""How cost reads on a page."""

from dataclasses import dataclass
from decimal import Decimal

from django import template
from django.utils.translation import gettext

from accounts.models import Customer
from costs.models import CostAnomaly, ProposalState
from costs.money import cents
from costs.services.figures import MonthView, ProductRow
from monitoring.models import metric_name
from monitoring.rules import metric_of

register = template.Library()

ANOMALY_TONES = {
    CostAnomaly.State.OPEN: "orange",
    CostAnomaly.State.EXPLAINED: "green",
    CostAnomaly.State.EXPECTED: "blue",
}
PROPOSAL_TONES = {
    ProposalState.PROPOSED: "blue",
    ProposalState.ACCEPTED: "orange",
    ProposalState.REJECTED: "secondary",
    ProposalState.DONE: "green",
    ProposalState.OBSOLETE: "secondary",
}


@register.filter
def yuan(amount: Decimal | float | str | None) -> str:
    """ "¥1,234.50"; a dash for what is not known."""
    if amount is None:
        return "—"
    figure = cents(Decimal(amount))
    return f"-¥{-figure:,.2f}" if figure < 0 else f"¥{figure:,.2f}"


@dataclass(frozen=True, slots=True)
class Bar:
    kind: str
    x: int
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A small chart; `words` say its figures to whoever does not see it."""

    words: str
    bars: tuple[Bar, ...]


HEIGHT, STEP = 24.0, 12


@register.filter
def trend_bars(product: ProductRow, view: MonthView) -> Bars:
    """A product's last months, and its forecast upon the last of them."""
    ahead = None if view.is_over or product.ahead is None else max(0.0, product.ahead.amount)
    amounts = [None if amount is None else max(0.0, float(amount)) for amount in product.trend]
    most = max([*(amount or 0.0 for amount in amounts), ahead or 0.0]) or 1.0
    bars = []
    if ahead is not None:
        bars.append(_bar("ahead", len(amounts) - 1, ahead / most))
    bars += [
        _bar("unknown", at, 1 / HEIGHT) if amount is None else _bar("cost", at, amount / most)
        for at, amount in enumerate(amounts)
    ]
    said = [f"{one.month} {yuan(amount)}" for one, amount in zip(view.trend, product.trend, strict=True)]
    if ahead is not None:
        said.append(" ".join((gettext("Forecast"), yuan(ahead))))
    return Bars(", ".join(said), tuple(bars))


def _bar(kind: str, at: int, share: float) -> Bar:
    height = share * HEIGHT
    return Bar(kind, at * STEP, f"{HEIGHT - height:.1f}", f"{height:.1f}")


@register.filter
def signed_percent(value: float | None) -> str:
    """ "+12 %"; a dash where there is nothing to compare with."""
    return "—" if value is None else f"{round(value):+d} %" if round(value) else "0 %"


@register.filter
def of_customer(counts: dict[int, int], customer: Customer) -> int:
    return counts.get(customer.pk, 0)


@register.filter
def share_percent(value: float) -> str:
    return f"{value * 100:.0f} %"


@register.filter
def anomaly_tone(state: str) -> str:
    return ANOMALY_TONES[CostAnomaly.State(state)]


@register.filter
def proposal_tone(state: str) -> str:
    return PROPOSAL_TONES[ProposalState(state)]


@register.filter
def metric_words(name: str) -> str:
    """The name of a figure as graphs have it."""
    return metric_name(name)


@register.filter
def in_unit_of(value: float, name: str) -> str:
    """A figure with the unit of its metric."""
    metric = metric_of(name)
    return f"{value:,.1f} {metric.unit if metric else ''}".strip()
