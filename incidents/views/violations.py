"""The register of work outside the platform, by side."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.downloads import download
from accounts.models import Customer, User
from accounts.permissions import can_write, is_provider, person_of, require
from incidents.forms_records import AgreeForm, ViolationForm
from incidents.models import Violation
from incidents.services import violations
from incidents.views.incident import asked_customer

form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        Violation.objects.select_related("customer", "recorded_by", "asset", "incident", "answered_by"),
        sort={"number": "pk", "happened": "happened_at", "side": ("side", "-happened_at"), "rule": "rule"},
        default="-happened",
        search=["who", "what", "evidence", "consequence"],
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    counts = [(Violation.Side(side).label, number) for side, number in page.queryset.counts().items()]  # type: ignore[attr-defined]  # the page keeps the queryset's class
    context = {"page": page, "counts": counts, "shows_customer": is_provider(person)}
    return render(request, "incidents/violations.html", context)


def _filters(person: User) -> dict[str, tables.Filter]:
    answers: list[tuple[object, tables.Text]] = [("open", _("Not answered")), *Violation.Answer.choices]
    chosen: dict[str, tables.Filter] = {
        "side": tables.Choice(_("Side"), Violation.Side.choices, "side"),
        "rule": tables.Choice(_("Rule"), Violation.Rule.choices, "rule"),
        "answer": tables.Choice(
            pgettext("person", "Answer"), answers, lambda value: Q(answer="" if value == "open" else value)
        ),
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _export(page: tables.Page[Violation]) -> HttpResponse:
    columns = {
        _("Number"): lambda row: row.number,
        _("Customer"): lambda row: row.customer.name,
        _("Side"): lambda row: row.get_side_display(),
        _("Rule"): lambda row: row.get_rule_display(),
        pgettext("violation", "Who"): lambda row: row.who,
        _("What happened"): lambda row: row.what,
        _("Happened at"): lambda row: row.happened_at,
        _("Asset"): lambda row: row.asset,
        _("Incident"): lambda row: row.incident and row.incident.number,
        _("Evidence"): lambda row: row.evidence,
        _("SHA-256 of the file"): lambda row: row.file_sha256,
        _("Consequence"): lambda row: row.consequence,
        _("Recorded by"): lambda row: row.recorded_by,
        _("Recorded at"): lambda row: row.recorded_at,
        pgettext("person", "Answer"): lambda row: row.get_answer_display(),
        _("Answered by"): lambda row: row.answered_by,
        _("Answered at"): lambda row: row.answered_at,
        _("Words"): lambda row: row.words,
    }
    return tables.export_csv(page.all(), columns, "violations")


@form_view
@require(can_write)
def record(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    customer = asked_customer(request, person)
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    initial = {"incident": request.GET.get("incident", "")[:20]}
    form = ViolationForm(request.POST or None, request.FILES or None, customer=customer, initial=initial)
    if request.method == "POST" and form.is_valid():
        made = violations.record(customer=customer, actor=person, now=timezone.now(), **form.cleaned_data)
        messages.success(request, _("%(number)s is recorded; the other side is asked.") % {"number": made.number})
        return redirect("incidents:violation", made.pk)
    context = {"form": form, "customer": customer}
    return render(request, "incidents/violation_form.html", context, status=422 if form.errors else 200)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    violation, person = _get(pk), person_of(request)
    asks = not violation.answer and violations.may_answer(person, violation)
    context = {"violation": violation, "form": AgreeForm() if asks else None}
    return render(request, "incidents/violation.html", context)


def _get(pk: int) -> Violation:
    rows = Violation.objects.select_related("customer", "recorded_by", "asset", "incident", "answered_by")
    return get_object_or_404(rows, pk=pk)


@require_POST
@require(can_write)
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    violation, person = _get(pk), person_of(request)
    if not violations.may_answer(person, violation):
        raise PermissionDenied
    form = AgreeForm(request.POST)
    if not form.is_valid():
        context = {"violation": violation, "form": form}
        return render(request, "incidents/violation.html", context, status=422)
    violations.answer(violation=violation, actor=person, now=timezone.now(), **form.cleaned_data)
    messages.success(request, _("Your answer is kept."))
    return redirect("incidents:violation", violation.pk)


@require_safe
def evidence(request: HttpRequest, pk: int) -> FileResponse:
    """The file, as a download."""
    violation = _get(pk)
    return download(violation.stored_name, name=violation.file_name, content_type=violation.file_type)
