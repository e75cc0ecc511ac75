"""Command rules of a customer: in order, tried out, changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Customer, User
from accounts.permissions import administers, can_write, is_administrator, is_provider, person_of, require
from accounts.refusals import in_form
from bastion.access_forms import RuleForm, TryForm
from bastion.models import CommandRule, ResourceGroup
from bastion.services import groups, ruling
from bastion.services.ruling import Said
from bastion.usual_rules import usual_rules
from bastion.views.choosing import choose, customer_of

PRESSES: Final[Mapping[str, tuple[Callable[[CommandRule, User], object], str | Promise]]] = {
    "up": (lambda rule, who: ruling.move(rule=rule, places=-1, actor=who, now=timezone.now()), gettext_lazy("Moved.")),
    "down": (lambda rule, who: ruling.move(rule=rule, places=1, actor=who, now=timezone.now()), gettext_lazy("Moved.")),
    "on": (
        lambda rule, who: ruling.switch(rule=rule, is_on=True, actor=who, now=timezone.now()),
        gettext_lazy("It holds from now on, in running sessions too."),
    ),
    "off": (
        lambda rule, who: ruling.switch(rule=rule, is_on=False, actor=who, now=timezone.now()),
        gettext_lazy("It holds no more."),
    ),
    "retire": (lambda rule, who: ruling.retire(rule=rule, actor=who, now=timezone.now()), gettext_lazy("Removed.")),
}


@require_http_methods(["GET", "HEAD", "POST"])
@require(can_write)
def index(request: HttpRequest) -> HttpResponse:
    """The list, and below it the box in which a line is tried."""
    customer = customer_of(request)
    if customer is None:
        return choose(request, _("Command rules"))
    person = person_of(request)
    rules = list(ruling.seen_by(person).filter(customer=customer).joined().order_by("position", "pk").distinct())
    if not rules and not administers(person, customer.pk) and not _groups(person, customer).exists():
        raise Http404
    form = TryForm(request.POST if request.method == "POST" else None, groups=_groups(person, customer))
    context: dict[str, object] = {
        "customer": customer,
        "rules": rules,
        "form": form,
        "may_change": administers(person, customer.pk),
        "missing": len({one.key for one in usual_rules()} - {rule.shipped_as for rule in rules}),
        "may_choose": is_provider(person),
    }
    if request.method == "POST" and form.is_valid():
        group = form.cleaned_data["group"]
        held = [rule for rule in rules if rule.is_on and rule.group_id in (None, None if group is None else group.pk)]
        context["whole"], context["tried"] = ruling.try_out(form.cleaned_data["line"], held)
    return render(request, "bastion/rules.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_administrator)
def create(request: HttpRequest) -> HttpResponse:
    customer = customer_of(request)
    if customer is None:
        return choose(request, _("New rule"))
    form = RuleForm(request.POST if request.method == "POST" else None, groups=_groups(person_of(request), customer))
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            said = Said(**form.cleaned_data)
            ruling.create(customer=customer, said=said, actor=person_of(request), now=timezone.now())
            messages.success(request, _("The rule stands at the end of the list."))
            return _back(customer)
    return _form(request, form, customer)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_administrator)
def change(request: HttpRequest, pk: int) -> HttpResponse:
    rule = _get(request, pk)
    first = {name: getattr(rule, name) for name in ("name", "pattern", "verdict", "words", "group", "is_on")}
    groups_here = _groups(person_of(request), rule.customer)
    form = RuleForm(request.POST if request.method == "POST" else None, groups=groups_here, initial=first)
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            ruling.change(rule=rule, said=Said(**form.cleaned_data), actor=person_of(request), now=timezone.now())
            messages.success(request, _("Saved. Running sessions have heard of it."))
            return _back(rule.customer)
    return _form(request, form, rule.customer, rule)


@require_POST
@require(is_administrator)
def press(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    rule, (act, done) = _get(request, pk), PRESSES[name]
    act(rule, person_of(request))
    messages.success(request, str(done))
    return _back(rule.customer)


@require_POST
@require(is_administrator)
def take_usual(request: HttpRequest) -> HttpResponse:
    """Those that the platform brings, for one customer."""
    customer = customer_of(request)
    if customer is None:
        raise Http404
    count = ruling.take_usual(customer=customer, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Added: %(count)d.") % {"count": count})
    return _back(customer)


def _get(request: HttpRequest, pk: int) -> CommandRule:
    return get_object_or_404(CommandRule.objects.kept().joined(), pk=pk)


def _groups(person: User, customer: Customer) -> QuerySet[ResourceGroup]:
    return groups.seen_by(person).filter(customer=customer).distinct().order_by("name")


def _form(request: HttpRequest, form: RuleForm, customer: Customer, rule: CommandRule | None = None) -> HttpResponse:
    context = {"form": form, "customer": customer, "rule": rule}
    return render(request, "bastion/rule_form.html", context, status=422 if form.errors else 200)


def _back(customer: Customer) -> HttpResponse:
    return redirect(f"{reverse('bastion:rules')}?customer={customer.pk}")
