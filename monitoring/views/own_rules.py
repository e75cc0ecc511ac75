"""Pages of a customer's own rules: the list, one rule with its history, the form and its trial."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from monitoring import wording
from monitoring.models import Alert, CustomRule, metric_name
from monitoring.own_rule_forms import OwnRuleForm, RemoveForm
from monitoring.services import own_rules
from monitoring.views import dry_runs

LATEST: Final = 8
HISTORY: Final = 30


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The own rules of one customer: one's own, or the one that a provider's person picked."""
    person = person_of(request)
    customer = person.customer or _picked(request)
    rules = list(CustomRule.objects.filter(customer=customer).select_related("asset", "changed_by")) if customer else []
    context = {
        "customer": customer,
        "customers": Customer.objects.all() if is_provider(person) else [],
        "rows": [(rule, metric_name(rule.metric), wording.conditions_text([rule.condition])) for rule in rules],
        "may_change": is_provider(person),
    }
    return render(request, "monitoring/own_rules.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def create(request: HttpRequest, customer_id: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    initial = {name: request.GET[name] for name in ("metric", "asset", "labels") if name in request.GET}
    form = OwnRuleForm(request.POST or None, customer=customer, initial=initial)
    return _form(request, form, customer) or _page(request, form, customer, None)


@require_http_methods(["GET", "HEAD", "POST"])
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One rule: what it says, its alerts and its history; engineers change and try it here."""
    rule = get_object_or_404(CustomRule.objects.select_related("customer", "asset"), pk=pk)
    may_change = is_provider(person_of(request))
    if request.method == "POST" and not may_change:
        raise PermissionDenied
    form = OwnRuleForm(request.POST or None, customer=rule.customer, rule=rule) if may_change else None
    saved = _form(request, form, rule.customer) if form is not None else None
    return saved or _page(request, form, rule.customer, rule)


@require_POST
@require(is_provider)
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    rule = get_object_or_404(CustomRule.objects.select_related("customer"), pk=pk)
    form = RemoveForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    own_rules.remove(rule=rule, reason=reason, actor=person_of(request), now=timezone.now())
    messages.success(request, _("The rule is gone. Its open alerts end by themselves."))
    return redirect(f"{reverse('monitoring:own-rules')}?customer={rule.customer_id}")


def _form(request: HttpRequest, form: OwnRuleForm, customer: Customer) -> HttpResponse | None:
    """Save or try a form that fits; None when there is nothing to save or something is wrong with it."""
    if request.method != "POST":
        return None
    if "try" in request.POST:
        form.fields["reason"].required = False
    if not form.is_valid():
        return None
    person, now = person_of(request), timezone.now()
    rule = form.rule()
    if "try" in request.POST:
        trial = dry_runs.shown(own_rules.attempt(rule=rule, actor=person, now=now))
        stored = CustomRule.objects.filter(pk=rule.pk).first() if rule.pk else None
        return _page(request, form, customer, stored, trial=trial)
    own_rules.save(rule=rule, actor=person, now=now)
    messages.success(request, _("Saved. It takes effect with the next data."))
    return redirect("monitoring:own-rule", pk=rule.pk)


def _page(
    request: HttpRequest, form: OwnRuleForm | None, customer: Customer, rule: CustomRule | None, trial: object = None
) -> HttpResponse:
    context = {
        "form": form,
        "customer": customer,
        "rule": rule,
        "trial": trial,
        "conditions": wording.conditions_text([rule.condition]) if rule else "",
        "recovery": wording.conditions_text([rule.recovery]) if rule else "",
        "metric": metric_name(rule.metric) if rule else "",
        "history": rule.history.select_related("history_user")[:HISTORY] if rule else [],
        "alerts": Alert.objects.filter(rule_id=rule.rule_id).order_by("-opened_at")[:LATEST] if rule else [],
    }
    return render(request, "monitoring/own_rule.html", context)


def _picked(request: HttpRequest) -> Customer | None:
    wanted = request.GET.get("customer", "")
    if wanted.isdecimal() and len(wanted) < 19:
        return get_object_or_404(Customer.objects, pk=int(wanted))
    return Customer.objects.first()
