"""How cost reads on a page."""

from decimal import Decimal

from django import template

from accounts.models import Customer
from costs.models import CostAnomaly, ProposalState
from costs.money import cents
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
