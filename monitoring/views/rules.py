"""Alert rules: the SOW's text beside what is evaluated, and what each customer wants otherwise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.errors import DomainError
from accounts.models import Customer, Severity
from accounts.permissions import can_write, is_provider, person_of, require
from monitoring import wording
from monitoring.levels import Effective, Levels, Resolver, resolve
from monitoring.models import Alert, RuleOverride
from monitoring.models.custom import PREFIX as OWN
from monitoring.rule_forms import BringBackForm, OverrideForm, RestoreForm
from monitoring.rules import RULES, Kind, NoData, Rule
from monitoring.services import levels, overrides

HISTORY: Final = 20
KINDS: Final = {
    Kind.THRESHOLD: _("threshold"),
    Kind.STATE: _("state"),
    Kind.EVENT: _("event"),
    Kind.COMPOUND: _("two figures together"),
    Kind.DERIVED: _("difference of two figures"),
    Kind.COUNTER: _("growth of a counter"),
}
NO_DATA_WORDS: Final = {
    NoData.KEEP: _("an open alert stays, marked as without data"),
    NoData.PROBLEM: _("silence counts as a failure while the source still speaks"),
    NoData.IGNORE: _("nothing happens"),
    NoData.RESOLVE: _("the alert ends when the object is gone while the source still speaks"),
}
SCOPES: Final = {
    "not_ecs": _("hosts that are not ECS"),
    "linux": _("Linux"),
    "windows": _("Windows"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A rule in words, as it holds for a customer."""

    rule: Rule
    effective: Effective
    overrides: int
    language: str

    @property
    def name(self) -> str:
        return self.rule.name(self.language)

    @property
    def reason(self) -> str:
        return self.rule.reason(self.language)

    @property
    def severity(self) -> Severity:
        return Severity[self.effective.severity.upper()]

    @property
    def conditions(self) -> str:
        return wording.conditions_text(self.effective.conditions)

    @property
    def recovery(self) -> str:
        return wording.conditions_text(self.effective.recovery, any_of=True)

    @property
    def often(self) -> str:
        return wording.how_often(self.effective)

    @property
    def kind(self) -> str:
        return str(KINDS[self.rule.kind])

    @property
    def no_data(self) -> str:
        return str(NO_DATA_WORDS[self.rule.no_data])

    @property
    def scope(self) -> str:
        return ", ".join(str(SCOPES[name]) for name in sorted(self.rule.scope)) or str(
            _("all assets that have the figure")
        )

    @property
    def ends_after(self) -> str:
        seconds = self.rule.recovery_after_s
        return wording.duration(timedelta(seconds=seconds)) if seconds else ""


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The rules by product, as they hold for one customer."""
    customer = chosen_customer(request)
    query = request.GET.get("q", "").strip().lower()[:100]
    product = request.GET.get("product", "")
    only = request.GET.get("only", "")
    products = list(dict.fromkeys(rule.product for rule in RULES.values()))
    rows = [row for row in _rows(customer) if _fits(row, query, product, only)]
    groups = {name: [row for row in rows if row.rule.product == name] for name in products}
    context = {
        "groups": {name: found for name, found in groups.items() if found},
        "count": len(rows),
        "products": products,
        "product": product,
        "query": query,
        "only": only,
        "customer": customer,
        "customers": Customer.objects.all() if is_provider(person_of(request)) else [],
    }
    return render(request, "monitoring/rule_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def detail(request: HttpRequest, rule_id: str) -> HttpResponse:
    """One rule: both readings side by side, its overrides, their history, and the form for another."""
    if (own := rule_id.removeprefix(OWN)) != rule_id and own.isdecimal():
        return redirect("monitoring:own-rule", pk=int(own))
    rule = rule_of(rule_id)
    customer = chosen_customer(request)
    is_post = request.method == "POST"
    if is_post and not is_provider(person_of(request)):
        raise PermissionDenied
    if is_post and customer is None:
        raise Http404
    form = None
    if customer is not None and is_provider(person_of(request)):
        form = override_form(request, rule, customer)
        if is_post and form.is_valid() and (saved := _saved(request, rule, customer, form)):
            return saved
    return render(request, "monitoring/rule_detail.html", _context(request, rule, customer, form))


@require_POST
@require(is_provider)
def restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Take an override back."""
    row = get_object_or_404(RuleOverride.objects.select_related("customer"), pk=pk)
    form = RestoreForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    rule_id, customer_id = row.rule_id, row.customer_id
    overrides.restore(override=row, reason=reason, actor=person_of(request), now=timezone.now())
    messages.success(request, _("The rule holds as before again."))
    return redirect(f"{reverse('monitoring:rule', args=[rule_id])}?customer={customer_id}")


@require_POST
@require(is_provider)
def bring_back(request: HttpRequest, rule_id: str) -> HttpResponse:
    """Let an override of the history hold again."""
    rule, form = rule_of(rule_id), BringBackForm(request.POST)
    if not form.is_valid():
        raise Http404
    customers = Customer.objects.values("pk")
    past = get_object_or_404(
        RuleOverride.history.filter(customer__in=customers, rule_id=rule.id), pk=form.cleaned_data["past"]
    )
    overrides.bring_back(past=past, reason=form.cleaned_data["reason"], actor=person_of(request), now=timezone.now())
    messages.success(request, _("Saved. It takes effect with the next data."))
    return redirect(f"{reverse('monitoring:rule', args=[rule.id])}?customer={past.customer_id}")


def override_form(request: HttpRequest, rule: Rule, customer: Customer) -> OverrideForm:
    """The form for an override, with what was sent, what is edited, or the place that the address names."""
    effective = Resolver(levels.load(customer)).wide(rule)
    edited = RuleOverride.objects.filter(
        customer=customer, rule_id=rule.id, pk=_number(request.GET.get("edit"))
    ).first()
    initial: dict[str, Any] = OverrideForm.initial_of(edited) if edited else {"place": request.GET.get("place", "")}
    data = request.POST if request.method == "POST" else None
    return OverrideForm(
        data, rule=rule, customer=customer, effective=effective, person=person_of(request), initial=initial
    )


def _saved(request: HttpRequest, rule: Rule, customer: Customer, form: OverrideForm) -> HttpResponse | None:
    place = form.place
    try:
        overrides.override(
            customer=customer,
            rule=rule,
            asset=place.asset,
            group=place.group,
            labels=place.labels,
            wish=form.wish,
            reason=form.cleaned_data["reason"],
            actor=person_of(request),
            now=timezone.now(),
        )
    except DomainError as problem:
        form.add_error(None, problem.message)
        return None
    messages.success(request, _("Saved. It takes effect with the next data."))
    return redirect(f"{reverse('monitoring:rule', args=[rule.id])}?customer={customer.pk}")


def _context(request: HttpRequest, rule: Rule, customer: Customer | None, form: OverrideForm | None) -> dict[str, Any]:
    language = get_language() or "zh-hans"
    own = RuleOverride.objects.filter(rule_id=rule.id)
    own = own.select_related("asset", "customer", "changed_by", "group", "schedule")
    history = RuleOverride.history.filter(rule_id=rule.id, customer__in=Customer.objects.values("pk"))
    if customer is not None:
        own, history = own.filter(customer=customer), history.filter(customer=customer)
    known = levels.load(customer) if customer else Levels()
    effective = Resolver(known, settings.CHECK_PERIOD_S).wide(rule)
    return {
        "row": Row(rule, effective, len(own), language),
        "template": Row(rule, resolve(rule, []), 0, language),
        "customer": customer,
        "may_try": can_write(person_of(request)),
        "customers": Customer.objects.all() if is_provider(person_of(request)) else [],
        "overrides": own.order_by(
            "customer__name", F("asset__name").asc(nulls_first=True), F("group__rank").desc(nulls_first=True), "labels"
        ),
        "history": history.select_related("history_user", "asset", "group").order_by("-history_date")[:HISTORY],
        "form": form,
        "alerts": Alert.objects.filter(rule_id=rule.id, **({"customer": customer} if customer else {}))
        .select_related("asset", "customer")
        .order_by("-opened_at")[:8],
    }


def _rows(customer: Customer | None) -> list[Row]:
    language = get_language() or "zh-hans"
    resolver = Resolver(levels.load(customer) if customer else Levels(), settings.CHECK_PERIOD_S)
    rows = RuleOverride.objects.filter(customer=customer).values_list("rule_id", flat=True) if customer else ()
    counts = Counter(rows)
    return [Row(rule, resolver.wide(rule), counts[rule.id], language) for rule in RULES.values()]


def _fits(row: Row, query: str, product: str, only: str) -> bool:
    if product and row.rule.product != product:
        return False
    if (only == "deviating" and not row.rule.deviates) or (only == "changed" and not row.overrides):
        return False
    if only == "off" and row.effective.enabled:
        return False
    text = f"{row.rule.id} {row.rule.product} {row.rule.name_zh} {row.rule.name_en} {row.conditions}".lower()
    return all(word in text for word in query.split())


def chosen_customer(request: HttpRequest) -> Customer | None:
    """The customer looked at: one's own, or the one that a provider's person picked."""
    own = person_of(request).customer
    if own is not None:
        return own
    wanted = _number(request.GET.get("customer"))
    return get_object_or_404(Customer.objects, pk=wanted) if wanted else None


def rule_of(rule_id: str) -> Rule:
    if rule_id not in RULES:
        raise Http404
    return RULES[rule_id]


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 19 else 0
