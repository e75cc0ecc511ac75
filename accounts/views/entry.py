"""Who may enter from where: the rules, and one of them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.forms.entry import EntryRuleForm, NewEntryRuleForm
from accounts.models import Customer, EntryRule, User
from accounts.permissions import is_administrator, is_provider, person_of, require
from accounts.refusals import in_form
from accounts.services import entering


@require_safe
@require(is_administrator)
def index(request: HttpRequest) -> HttpResponse:
    context = {"rules": entering.seen_by(person_of(request)), "address": _address(request)}
    return render(request, "accounts/entry_rules.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_administrator)
def create(request: HttpRequest) -> HttpResponse:
    actor = person_of(request)
    people = User.objects.filter(is_active=True).order_by("name")
    form = NewEntryRuleForm(
        request.POST if request.method == "POST" else None,
        customers=Customer.objects.order_by("name"),
        people=people if is_provider(actor) else people.filter(customer=actor.customer),
        is_provider=is_provider(actor),
    )
    if request.method == "POST" and form.is_valid():
        given = {"customer": actor.customer, **form.cleaned_data}
        if _kept(request, form, given):
            return redirect("accounts:entry_rules")
    return _show(request, form, _("New rule of entry"))


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_administrator)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    rule = _get(request, pk)
    first = {"ranges": "\n".join(rule.ranges), "needs_key_and_code": rule.needs_key_and_code}
    form = EntryRuleForm(request.POST if request.method == "POST" else None, initial=first)
    if request.method == "POST" and form.is_valid():
        whom = {"customer": rule.customer, "role": rule.role, "person": rule.person}
        if _kept(request, form, {**whom, **form.cleaned_data}):
            return redirect("accounts:entry_rules")
    return _show(request, form, str(rule))


@require_POST
@require(is_administrator)
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    rule = _get(request, pk)
    entering.remove(rule=rule, actor=person_of(request), address=_address(request), now=timezone.now())
    messages.success(request, _("The rule is gone."))
    return redirect("accounts:entry_rules")


def _kept(request: HttpRequest, form: EntryRuleForm, given: dict[str, Any]) -> bool:
    with in_form(form):
        entering.keep(actor=person_of(request), address=_address(request), now=timezone.now(), **given)
        messages.success(request, _("Saved. It holds at once, also for those who are signed in."))
        return True
    return False


def _get(request: HttpRequest, pk: int) -> EntryRule:
    return get_object_or_404(entering.seen_by(person_of(request)), pk=pk)


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))


def _show(request: HttpRequest, form: EntryRuleForm, title: str) -> HttpResponse:
    context = {
        "form": form,
        "title": title,
        "back": "/entry/",
        "submit_label": _("Save"),
        "hint": _("You come from %(address)s.") % {"address": _address(request)},
    }
    return render(request, "accounts/form.html", context, status=422 if form.errors else 200)
