"""Named values in the place of thresholds."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from monitoring.models import (
    RuleMacro,
    RuleOverride,
)
from monitoring.rule_forms import MacroForm
from monitoring.rules import RULES
from monitoring.services import macros
from monitoring.views.rule_places import back_to, choose, frame, number_of, saved, wanted


@require_http_methods(["GET", "HEAD", "POST"])
def macro_list(request: HttpRequest) -> HttpResponse:
    """The macros of a customer, where each is used, and the form for another value."""
    customer = wanted(request)
    if customer is None:
        return choose(request, _("Macros"))
    edited = RuleMacro.objects.filter(customer=customer, pk=number_of(request.GET.get("edit"))).first()
    form = MacroForm(request.POST or None, customer=customer, initial=MacroForm.initial_of(edited) if edited else None)
    if request.method == "POST" and form.is_valid() and _save_macro(request, customer, form):
        return back_to("macros", customer.pk)
    rows = RuleMacro.objects.filter(customer=customer).select_related("group", "asset", "changed_by")
    language = get_language() or "zh-hans"
    used: dict[str, list[tuple[RuleOverride, str]]] = {}
    for row in rows:
        if row.name not in used:
            found = macros.usages(customer, row.name)
            used[row.name] = [(one, RULES[one.rule_id].name(language)) for one in found if one.rule_id in RULES]
    context = {"rows": [(row, macros.shown(row), used[row.name]) for row in rows], "form": form, "edited": edited}
    history = RuleMacro.history.filter(customer=customer).select_related("history_user").order_by("-history_date")[:15]
    return render(request, "monitoring/macros.html", {**context, "history": history, **frame(request, customer)})


def _save_macro(request: HttpRequest, customer: Customer, form: MacroForm) -> bool:
    data, place = form.cleaned_data, form.place
    save = partial(
        macros.save,
        customer=customer,
        name=data["name"],
        value=data["value"],
        group=place.group,
        asset=place.asset,
        reason=data["reason"],
        actor=person_of(request),
        now=timezone.now(),
    )
    return saved(request, form, save)


@require_POST
@require(is_provider)
def remove_macro(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(RuleMacro.objects.select_related("customer"), pk=pk)
    macros.remove(macro=row, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Removed."))
    return back_to("macros", row.customer_id)
