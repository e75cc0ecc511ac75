"""The monitoring template of a customer: seen, filled in, looked through, set up, printed."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from assets.models import Asset, Kind
from monitoring.collectors.products import PRODUCTS
from monitoring.models import MonitoringTemplate, Target, TemplateTask
from monitoring.rules import RULES
from monitoring.services import watch_forms
from monitoring.services.watch_forms import Preview, State
from monitoring.template_forms import NAMES, TemplateForm, rows_of
from monitoring.views.rules import chosen_customer
from monitoring.watch_plan import Step

STEP_WORDS: Final[dict[str, str | Promise]] = {
    "ping": _("Ping"),
    "agent": _("Host agent"),
    "port": _("TCP port"),
    "product": _("Application"),
    "url": _("URL"),
    "cloud": _("CloudMonitor"),
    "rule_off": _("Rule off"),
    "rule_on": _("Rule on"),
    "target_off": _("Stop collecting"),
}
TASK_WORDS: Final[dict[str, str | Promise]] = {
    "no_server": _("No server is in the inventory yet: add the hosts first"),
    "agent": _("Install the agent and enter its address"),
    "host": _("The address of the asset is missing"),
    "no_instance": _("No such instance is in the inventory: on which hosts does it run?"),
    "no_cloud_instance": _("No such cloud instance has been found: connect the cloud account"),
    "credentials": _("Needs an account to read with: enter it with the check"),
    "unknown_product": _("Not among the products that are read by themselves: agree on a script or a check"),
    "port": _("Not a port number: ask what is meant"),
    "url": _("The address of the URL is missing"),
    "api": _("API: method, headers, expected answer and sign-in are needed"),
    "other_basics": _("Asked for in free text"),
    "notes": _("Asked for in free text"),
    "left_out": _("Left out when it was set up"),
    "failed": _("Could not be set up"),
}
QUOTA_WORDS: Final[dict[str, str | Promise]] = {
    "middleware": _("Middleware instances"),
    "url": _("Monitored URLs"),
    "port": _("Monitored ports"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A step or a task in words."""

    key: str
    what: str
    subject: str
    asset: Asset | None


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The template in force, what waits, what is left to do, and the versions before."""
    customer = chosen_customer(request)
    if customer is None:
        whose = {"title": _("Monitoring template"), "customers": Customer.objects.all()}
        return render(request, "monitoring/choose_customer.html", whose)
    rows = list(MonitoringTemplate.objects.filter(customer=customer).select_related("submitted_by", "confirmed_by"))
    current = rows[0] if rows else None
    tasks = TemplateTask.objects.filter(customer=customer).select_related("asset", "done_by", "template")
    context: dict[str, Any] = {
        "current": current,
        "rows": rows_of(current) if current else [],
        "versions": rows,
        "tasks": [(task, _task_words(task), _task_link(task)) for task in tasks.filter(done_at=None)],
        "done": [(task, _task_words(task), "") for task in tasks.exclude(done_at=None)[:30]],
        "may_fill": watch_forms.may_fill(person_of(request)),
        "may_change": is_provider(person_of(request)),
        "customer": customer,
        "customers": Customer.objects.all() if is_provider(person_of(request)) else [],
    }
    return render(request, "monitoring/templates.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def fill(request: HttpRequest) -> HttpResponse:
    """The form of the SOW. It begins as it was filled in last."""
    customer = chosen_customer(request)
    if not watch_forms.may_fill(person_of(request)):
        raise PermissionDenied
    if customer is None:
        raise Http404
    last = MonitoringTemplate.objects.filter(customer=customer).newest_first().first()
    initial = TemplateForm.initial_of(last) if last else {"basics": ["cpu", "memory", "network", "disk", "os"]}
    form = TemplateForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        row = watch_forms.submit(customer=customer, form=form.filled, actor=person_of(request), now=timezone.now())
        if is_provider(person_of(request)):
            return redirect("monitoring:template-confirm", row.pk)
        messages.success(request, _("Thank you. The service team looks through it and sets it up."))
        return redirect(f"{reverse('monitoring:templates')}?customer={customer.pk}")
    return render(request, "monitoring/template_fill.html", {"form": form, "customer": customer, "last": last})


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One version, as the SOW prints it."""
    row = _template(pk)
    tasks = [(task, _task_words(task), "") for task in row.tasks.select_related("asset", "done_by")]
    context = {"template": row, "rows": rows_of(row), "customer": row.customer, "tasks": tasks}
    return render(request, "monitoring/template_print.html", context)


@require_safe
def export(request: HttpRequest, pk: int) -> HttpResponse:
    """One version as CSV."""
    row = _template(pk)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([str(_("Monitoring template")), str(row.customer), f"v{row.version}"])
    writer.writerow([str(_("Monitoring")), str(_("Monitoring is wanted") if row.wanted else _("No monitoring"))])
    for label, boxes, text in rows_of(row):
        ticked = ", ".join(name for name, is_ticked in boxes if is_ticked)
        writer.writerow([tables.cell(str(label)), tables.cell(ticked), tables.cell(text)])
    response = HttpResponse("\ufeff" + buffer.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="monitoring-template-v{row.version}.csv"'
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """What the form would set up, box by box, and what exceeds the contract; then it is set up."""
    row = _template(pk)
    if request.method == "POST":
        chosen = set(request.POST.getlist("step"))
        watch_forms.confirm(template=row, chosen=chosen, actor=person_of(request), now=timezone.now())
        messages.success(request, _("Set up. What is left to do is listed below."))
        return redirect(f"{reverse('monitoring:templates')}?customer={row.customer_id}")
    preview = watch_forms.preview(row)
    context = {"template": row, "customer": row.customer, "preview": preview, **_shown(row.customer, preview)}
    return render(request, "monitoring/template_confirm.html", context)


@require_POST
@require(is_provider)
def settle(request: HttpRequest, pk: int) -> HttpResponse:
    """A task is done, or not after all."""
    task = get_object_or_404(TemplateTask.objects.select_related("customer"), pk=pk)
    done = request.POST.get("done") != "no"
    watch_forms.settle_task(task=task, done=done, actor=person_of(request), now=timezone.now())
    return redirect(f"{reverse('monitoring:templates')}?customer={task.customer_id}")


# --- words -----------------------------------------------------------------------------------------------------------


def _shown(customer: Customer, preview: Preview) -> dict[str, Any]:
    assets = Asset.objects.filter(customer=customer).in_bulk({step.asset_id for step in preview.steps if step.asset_id})
    groups: dict[str, list[Shown]] = {}
    for step in preview.new:
        groups.setdefault(str(STEP_WORDS[step.code]), []).append(_words(step, assets))
    tasks: dict[str, list[Shown]] = {}
    for step in preview.tasks:
        shown = _words(step, assets)
        tasks.setdefault(shown.what, []).append(shown)
    return {
        "groups": groups,
        "there": [_words(step, assets) for step in preview.there],
        "tasks": tasks,
        "quotas": [(QUOTA_WORDS[quota.code], quota) for quota in preview.quotas],
        "waits": State.SUBMITTED,
    }


def _words(step: Step, assets: dict[int, Asset]) -> Shown:
    asset = assets.get(step.asset_id or 0)
    code = step.code.removeprefix("task_")
    what = TASK_WORDS[code] if step.is_task else STEP_WORDS[step.code]
    return Shown(step.key, str(what), _subject(step, asset), asset)


def _subject(step: Step, asset: Asset | None) -> str:
    match step.code:
        case "rule_on" | "rule_off":
            return RULES[step.subject].name(get_language() or "zh-hans")
        case "port":
            return f"{asset or step.subject}:{step.port}"
        case "product" | "task_no_instance" | "task_credentials" | "task_no_cloud_instance":
            return _product_words(step, asset)
        case "cloud":
            return str(Kind(step.subject).label)
        case "target_off":
            return str(Target.objects.filter(pk=int(step.subject)).first() or step.subject)
        case _:
            return step.subject


def _product_words(step: Step, asset: Asset | None) -> str:
    product = PRODUCTS.get(step.subject)
    name = product.name(get_language() or "zh-hans") if product else str(NAMES.get(step.subject, step.subject))
    return f"{name} · {asset}" if asset else name


def _task_words(task: TemplateTask) -> str:
    return str(TASK_WORDS.get(task.code, task.code))


def _task_link(task: TemplateTask) -> str:
    """Where it is done, as far as there is such a place."""
    return reverse("assets:detail", args=[task.asset_id]) if task.asset_id is not None else ""


def _template(pk: int) -> MonitoringTemplate:
    rows = MonitoringTemplate.objects.select_related("customer", "submitted_by", "confirmed_by")
    return get_object_or_404(rows, pk=pk)
