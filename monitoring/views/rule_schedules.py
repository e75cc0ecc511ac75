"""When rules hold."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms.calendars import WEEKDAYS
from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from monitoring.models import (
    RuleOverride,
    RuleSchedule,
)
from monitoring.models.group import a_week
from monitoring.rule_forms import ScheduleForm
from monitoring.services import levels, rule_schedules
from monitoring.views.rule_places import back_to, choose, frame, number_of, saved, wanted


@require_http_methods(["GET", "HEAD", "POST"])
def schedules(request: HttpRequest) -> HttpResponse:
    """The schedules of a customer and the form for another, or for one that is changed."""
    customer = wanted(request)
    if customer is None:
        return choose(request, _("Rule schedules"))
    edited = RuleSchedule.objects.filter(customer=customer, pk=number_of(request.GET.get("edit"))).first()
    initial = {"name": edited.name, "basis": edited.basis} if edited else None
    form = ScheduleForm(request.POST or None, week=edited.week if edited else a_week(), initial=initial)
    if request.method == "POST" and form.is_valid() and _save_schedule(request, customer, edited, form):
        return back_to("schedules", customer.pk)
    now = timezone.now()
    rows = [
        (row, levels.schedule_of(row).active_at(now), _hours(row), RuleOverride.objects.filter(schedule=row).count())
        for row in RuleSchedule.objects.filter(customer=customer).select_related("customer", "changed_by")
    ]
    context = {"rows": rows, "form": form, "edited": edited, **frame(request, customer)}
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
    return saved(request, form, save)


@require_POST
@require(is_provider)
def remove_schedule(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(RuleSchedule.objects.select_related("customer"), pk=pk)
    rule_schedules.remove(schedule=row, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Removed."))
    return back_to("schedules", row.customer_id)
