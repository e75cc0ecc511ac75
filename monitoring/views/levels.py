"""Groups, macros, schedules and expected processes of a customer; which level says what on one asset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.errors import DomainError
from accounts.forms.calendars import WEEKDAYS
from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from assets.models import Asset, Kind
from monitoring import wording
from monitoring.models import (
    AssetGroup,
    ExpectedProcess,
    RuleMacro,
    RuleOverride,
    RuleSchedule,
    Series,
)
from monitoring.models.group import a_week
from monitoring.plan import Effective, Level, Levels, Override, Resolver, applies, origins
from monitoring.rule_forms import GroupForm, MacroForm, ProcessForm, ScheduleForm
from monitoring.rules import RULES, Rule
from monitoring.services import groups as groups_service
from monitoring.services import levels, macros, processes, rule_schedules
from monitoring.views.rules import chosen_customer

LEVELS: Final = {
    Level.TEMPLATE: _("SOW template"),
    Level.CUSTOMER: _("Customer"),
    Level.GROUP: _("Group"),
    Level.ASSET: _("Asset"),
    Level.SERIES: _("Part"),
}
FIELD_NAMES: Final[dict[str, str | Promise]] = {
    "enabled": _("Switch"),
    "thresholds": _("Threshold"),
    "times": _("Times in a row"),
    "period_s": _("Period"),
    "recovery": _("Recovery threshold"),
    "recovery_times": _("Good times in a row"),
    "severity": _("Severity"),
    "schedule": _("Schedule"),
    "channels": _("Told to"),
    "flap_changes": _("Flapping: changes"),
    "flap_window_s": _("Flapping: within, seconds"),
}


def _saved(request: HttpRequest, form: Form, save: Callable[[], object]) -> bool:
    """Save what the form holds; a refusal stands on the form, with what was entered."""
    try:
        save()
    except DomainError as problem:
        form.add_error(None, problem.message)
        return False
    messages.success(request, _("Saved. It takes effect with the next data."))
    return True


def _back_to(route: str, customer_id: int) -> HttpResponse:
    """The list of one customer."""
    return redirect(f"{reverse(f'monitoring:{route}')}?customer={customer_id}")


# --- groups ----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def groups(request: HttpRequest) -> HttpResponse:
    """The groups of a customer, in the order in which they overrule each other, and the form for another."""
    customer = _wanted(request)
    if customer is None:
        return _choose(request, _("Asset groups"))
    form = GroupForm(request.POST or None, customer=customer)
    if request.method == "POST" and form.is_valid() and _save_group(request, customer, None, form):
        return _back_to("groups", customer.pk)
    rows = list(AssetGroup.objects.filter(customer=customer))
    sizes = _sizes(customer)
    spoken = set(RuleOverride.objects.filter(customer=customer).exclude(group=None).values_list("group_id", flat=True))
    listed = [(row, sizes.get(row.pk, 0), row.pk in spoken, _kinds(row)) for row in rows]
    return render(request, "monitoring/groups.html", {"rows": listed, "form": form, **_frame(request, customer)})


def _sizes(customer: Customer) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for ids in levels.groups_of_assets(customer).values():
        for group_id in ids:
            sizes[group_id] = sizes.get(group_id, 0) + 1
    return sizes


def _kinds(group: AssetGroup) -> str:
    return ", ".join(str(Kind(kind).label) for kind in group.kinds if kind in Kind.values)


@require_http_methods(["GET", "HEAD", "POST"])
def group(request: HttpRequest, pk: int) -> HttpResponse:
    """One group: who is in it, which rules speak of it, and its form."""
    row = get_object_or_404(AssetGroup.objects.select_related("customer"), pk=pk)
    _only_provider_posts(request)
    form = GroupForm(request.POST or None, customer=row.customer, initial=GroupForm.initial_of(row))
    if request.method == "POST" and form.is_valid() and _save_group(request, row.customer, row, form):
        return redirect("monitoring:group", row.pk)
    context = {
        "group": row,
        "members": levels.members(row),
        "overrides": RuleOverride.objects.filter(group=row).select_related("changed_by"),
        "macros": RuleMacro.objects.filter(group=row),
        "history": row.history.select_related("history_user").order_by("-history_date")[:10],
        "form": form,
        **_frame(request, row.customer),
    }
    return render(request, "monitoring/group.html", context)


def _save_group(request: HttpRequest, customer: Customer, row: AssetGroup | None, form: GroupForm) -> bool:
    data = form.cleaned_data
    save = partial(
        groups_service.save,
        customer=customer,
        group=row,
        name=data["name"],
        description=data["description"],
        tag=data["tag"],
        kinds=data["kinds"],
        assets=data["assets"],
        actor=person_of(request),
        now=timezone.now(),
    )
    return _saved(request, form, save)


@require_POST
@require(is_provider)
def move_group(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(AssetGroup.objects.select_related("customer"), pk=pk)
    groups_service.move(group=row, up=request.POST.get("to") == "up", actor=person_of(request), now=timezone.now())
    return _back_to("groups", row.customer_id)


@require_POST
@require(is_provider)
def remove_group(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(AssetGroup.objects.select_related("customer"), pk=pk)
    groups_service.remove(group=row, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Removed."))
    return _back_to("groups", row.customer_id)


# --- macros ----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def macro_list(request: HttpRequest) -> HttpResponse:
    """The macros of a customer, where each is used, and the form for another value."""
    customer = _wanted(request)
    if customer is None:
        return _choose(request, _("Macros"))
    edited = RuleMacro.objects.filter(customer=customer, pk=_number(request.GET.get("edit"))).first()
    form = MacroForm(request.POST or None, customer=customer, initial=MacroForm.initial_of(edited) if edited else None)
    if request.method == "POST" and form.is_valid() and _save_macro(request, customer, form):
        return _back_to("macros", customer.pk)
    rows = RuleMacro.objects.filter(customer=customer).select_related("group", "asset", "changed_by")
    language = get_language() or "zh-hans"
    used: dict[str, list[tuple[RuleOverride, str]]] = {}
    for row in rows:
        if row.name not in used:
            found = macros.usages(customer, row.name)
            used[row.name] = [(one, RULES[one.rule_id].name(language)) for one in found if one.rule_id in RULES]
    context = {"rows": [(row, macros.shown(row), used[row.name]) for row in rows], "form": form, "edited": edited}
    history = RuleMacro.history.filter(customer=customer).select_related("history_user").order_by("-history_date")[:15]
    return render(request, "monitoring/macros.html", {**context, "history": history, **_frame(request, customer)})


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
    return _saved(request, form, save)


@require_POST
@require(is_provider)
def remove_macro(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(RuleMacro.objects.select_related("customer"), pk=pk)
    macros.remove(macro=row, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Removed."))
    return _back_to("macros", row.customer_id)


# --- schedules -------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def schedules(request: HttpRequest) -> HttpResponse:
    """The schedules of a customer and the form for another, or for one that is changed."""
    customer = _wanted(request)
    if customer is None:
        return _choose(request, _("Rule schedules"))
    edited = RuleSchedule.objects.filter(customer=customer, pk=_number(request.GET.get("edit"))).first()
    initial = {"name": edited.name, "basis": edited.basis} if edited else None
    form = ScheduleForm(request.POST or None, week=edited.week if edited else a_week(), initial=initial)
    if request.method == "POST" and form.is_valid() and _save_schedule(request, customer, edited, form):
        return _back_to("schedules", customer.pk)
    now = timezone.now()
    rows = [
        (row, levels.schedule_of(row).active_at(now), _hours(row), RuleOverride.objects.filter(schedule=row).count())
        for row in RuleSchedule.objects.filter(customer=customer).select_related("customer", "changed_by")
    ]
    context = {"rows": rows, "form": form, "edited": edited, **_frame(request, customer)}
    return render(request, "monitoring/schedules.html", context)


def _hours(row: RuleSchedule) -> list[tuple[str, str]]:
    """Days of the same hours side by side are told once."""
    if row.basis != RuleSchedule.Basis.WEEK:
        return []
    days = [(str(name), ", ".join(spans)) for name, spans in zip(WEEKDAYS, row.week, strict=True)]
    told: list[tuple[list[str], str]] = []
    for name, text in days:
        if told and told[-1][1] == text:
            told[-1][0].append(name)
        else:
            told.append(([name], text))
    return [(f"{names[0]} – {names[-1]}" if len(names) > 1 else names[0], text) for names, text in told]


def _save_schedule(request: HttpRequest, customer: Customer, row: RuleSchedule | None, form: ScheduleForm) -> bool:
    data = form.cleaned_data
    save = partial(
        rule_schedules.save,
        customer=customer,
        schedule=row,
        name=data["name"],
        basis=data["basis"],
        week=form.week(),
        actor=person_of(request),
        now=timezone.now(),
    )
    return _saved(request, form, save)


@require_POST
@require(is_provider)
def remove_schedule(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(RuleSchedule.objects.select_related("customer"), pk=pk)
    rule_schedules.remove(schedule=row, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Removed."))
    return _back_to("schedules", row.customer_id)


# --- one asset -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """Who has the last word on one field of a rule."""

    field: str
    level: str
    override_id: int
    macro: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A rule on one thing of an asset, as it holds there."""

    rule: Rule
    series: Series
    effective: Effective
    origins: tuple[Origin, ...]
    applies: bool

    @property
    def name(self) -> str:
        return self.rule.name(get_language() or "zh-hans")

    @property
    def part(self) -> str:
        return wording.labels_shown(self.series.labels)

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
    def place(self) -> str:
        return f"asset:{self.series.asset_id}" + (f":{self.series.labels}" if self.series.labels else "")


@require_safe
def of_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """Every rule on an asset: what holds there, and which level said so."""
    asset = get_object_or_404(Asset.objects.select_related("customer"), pk=asset_id)
    known = levels.load(asset.customer)
    resolver = Resolver(known, settings.CHECK_PERIOD_S)
    group_names = dict(AssetGroup.objects.filter(customer=asset.customer).values_list("pk", "name"))
    watched = {rule.metrics[0] for rule in RULES.values()}
    rows = Series.objects.filter(asset=asset, metric__in=watched).select_related("asset").order_by("metric", "labels")
    held = [
        _held(rule, series, known, resolver, group_names)
        for series in rows
        for rule in RULES.values()
        if rule.metrics[0] == series.metric
    ]
    context = {
        "asset": asset,
        "held": held,
        "groups": [(pk, group_names[pk]) for pk in reversed(known.groups.get(asset.pk, ()))],
        "processes": ExpectedProcess.objects.filter(asset=asset).select_related("changed_by"),
        **_frame(request, asset.customer),
    }
    return render(request, "monitoring/asset_rules.html", context)


def _held(rule: Rule, series: Series, known: Levels, resolver: Resolver, names: dict[int, str]) -> Held:
    asset = series.asset
    effective = resolver.of(rule, asset.pk, series.labels)
    chain = resolver.chain(rule, asset.pk, series.labels)
    return Held(
        rule,
        series,
        effective,
        origins_of(chain, names, macros_used(known)),
        applies(rule, is_ecs=asset.kind == Kind.ECS, os=asset.os),
    )


def macros_used(known: Levels) -> dict[int, str]:
    """The macros that the thresholds of each override speak of, by its row."""
    return {one.id: ", ".join(one.macros) for one in known.overrides if one.macros}


def origins_of(chain: tuple[Override, ...], names: dict[int, str], macros: dict[int, str]) -> tuple[Origin, ...]:
    return tuple(
        Origin(
            str(FIELD_NAMES[field]),
            level_name(one, names),
            one.id,
            macros.get(one.id, "") if field in ("thresholds", "recovery") else "",
        )
        for field, one in origins(chain).items()
    )


def level_name(one: Override, names: dict[int, str]) -> str:
    """ "Group: databases", or what else has the last word."""
    if one.level is Level.GROUP:
        return f"{LEVELS[Level.GROUP]}: {names.get(one.group_id or 0, '')}"
    return str(LEVELS[one.level]) if one.id else str(_("Expected processes"))


@require_http_methods(["GET", "HEAD", "POST"])
def process_list(request: HttpRequest, asset_id: int) -> HttpResponse:
    """How many processes of which name should run on an asset."""
    asset = get_object_or_404(Asset.objects.select_related("customer"), pk=asset_id)
    _only_provider_posts(request)
    edited = ExpectedProcess.objects.filter(asset=asset, pk=_number(request.GET.get("edit"))).first()
    initial = {name: getattr(edited, name) for name in ProcessForm.base_fields} if edited else None
    form = ProcessForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid() and _expect(request, asset, form):
        return redirect("monitoring:processes", asset.pk)
    rows = ExpectedProcess.objects.filter(asset=asset).select_related("changed_by")
    counted = Series.objects.filter(asset=asset, metric="process.count").values_list("labels", flat=True)
    context = {
        "asset": asset,
        "rows": [(row, f'process="{row.name}"' in counted) for row in rows],
        "unnamed": [wording.labels_shown(one) for one in counted if one not in {f'process="{r.name}"' for r in rows}],
        "watch": processes.agent_watch(asset),
        "form": form,
        **_frame(request, asset.customer),
    }
    return render(request, "monitoring/processes.html", context)


def _expect(request: HttpRequest, asset: Asset, form: ProcessForm) -> bool:
    save = partial(processes.expect, asset=asset, **form.cleaned_data, actor=person_of(request), now=timezone.now())
    return _saved(request, form, save)


@require_POST
@require(is_provider)
def forget_process(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(ExpectedProcess.objects.select_related("customer"), pk=pk)
    asset_id = row.asset_id
    processes.forget(process=row, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Removed."))
    return redirect("monitoring:processes", asset_id)


# --- shared ----------------------------------------------------------------------------------------------------------


def _wanted(request: HttpRequest) -> Customer | None:
    """The customer looked at; only the provider's people change anything."""
    customer = chosen_customer(request)
    _only_provider_posts(request)
    if customer is None and request.method == "POST":
        raise Http404
    return customer


def _only_provider_posts(request: HttpRequest) -> None:
    if request.method == "POST" and not is_provider(person_of(request)):
        raise PermissionDenied


def _frame(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    provider = is_provider(person_of(request))
    return {"customer": customer, "customers": Customer.objects.all() if provider else [], "may_change": provider}


def _choose(request: HttpRequest, title: str | Promise) -> HttpResponse:
    """Whose? The provider's people have many customers."""
    context = {"title": title, "customers": Customer.objects.all()}
    return render(request, "monitoring/choose_customer.html", context)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 19 else 0
