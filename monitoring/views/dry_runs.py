"""Trying a rule before it holds: the trial begins, goes on while its page is open, and is cancelled."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.errors import DomainError
from accounts.models import Customer
from accounts.permissions import can_write, person_of, require
from monitoring.rule_forms import OverrideForm, Place
from monitoring.rules import RULES, Rule
from monitoring.services import drawing, levels, overrides, trials
from monitoring.services.dry_run import Case
from monitoring.services.trials import Watched
from monitoring.views.rules import chosen_customer, override_form, rule_of


@require_POST
@require(can_write)
def try_rule(request: HttpRequest, rule_id: str) -> HttpResponse:
    """What the rule, or the change that is being written, would have done in the last days. Nothing is saved."""
    rule, customer = rule_of(rule_id), chosen_customer(request)
    if customer is None:
        raise Http404
    form = override_form(request, rule, customer)
    form.fields["reason"].required = False
    context: dict[str, Any] = {"form": form}
    if form.is_valid():
        try:
            case = _case(customer, rule, form)
        except DomainError as problem:
            context = {"problem": problem.message}
        else:
            watched = trials.begin(customer=customer, case=case, actor=person_of(request), now=timezone.now())
            context = shown(watched)
    return render(request, "monitoring/_dry_run.html", context)


@require_POST
@require(can_write)
def go_on(request: HttpRequest, token: str) -> HttpResponse:
    """A trial under way: a stretch further, or cancelled."""
    person = person_of(request)
    is_over = "cancel" in request.POST
    watched = trials.cancel(token=token, actor=person) if is_over else trials.look(token=token, actor=person)
    context = {"problem": _("This trial is over. Begin it again.")} if watched is None else shown(watched)
    return render(request, "monitoring/_dry_run.html", context)


def shown(watched: Watched) -> dict[str, Any]:
    """The context of ``monitoring/_dry_run.html``."""
    run, *beside = watched.trial.results()
    rule = watched.case.rule
    context = {
        "watched": watched,
        "run": run,
        "now_is": beside[0] if beside else None,
        "rule": rule if rule.id in RULES else None,
    }
    if watched.is_open:
        return context
    customer = Customer.objects.get(pk=watched.customer_id)
    return {**context, "drawn": drawing.of(run, rule, levels.load(customer), watched.case.override)}


def _case(customer: Customer, rule: Rule, form: OverrideForm) -> Case:
    """What the form says, beside the rule as it holds now."""
    place, wish = form.place, form.wish
    assets = _assets(place)
    if wish.is_empty:
        return Case(rule, assets=assets)
    override = wish.at(rule, group=place.group, asset=place.asset, labels=place.labels)
    overrides.check(customer=customer, rule=rule, override=override, wish=wish)
    return Case(rule, override, assets=assets, beside=True)


def _assets(place: Place) -> list[int] | None:
    """Whose figures are looked at: those that the change reaches."""
    if place.asset is not None:
        return [place.asset.pk]
    return None if place.group is None else [asset.pk for asset in levels.members(place.group)]
