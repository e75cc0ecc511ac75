"""The register of causes that lay in customers' applications, and the customer's answer."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_POST, require_safe

from accounts import tables
from accounts.models import Customer, User
from accounts.permissions import can_write, is_provider, person_of, require
from incidents.forms_records import AgreeForm
from incidents.models import CauseNotice
from incidents.services import causes
from notify.models import Delivery


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        CauseNotice.objects.select_related("customer", "incident", "sent_by", "answered_by"),
        sort={"sent": "sent_at", "incident": "incident_id", "answer": ("answer", "-sent_at")},
        default="-sent",
        search=["incident__title", "proof", "words"],
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    return render(request, "incidents/causes.html", {"page": page, "shows_customer": is_provider(person)})


def _filters(person: User) -> dict[str, tables.Filter]:
    answers: list[tuple[object, tables.Text]] = [("open", _("Not answered")), *CauseNotice.Answer.choices]
    chosen: dict[str, tables.Filter] = {
        "answer": tables.Choice(
            pgettext("person", "Answer"), answers, lambda value: Q(answer="" if value == "open" else value)
        ),
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _export(page: tables.Page[CauseNotice]) -> HttpResponse:
    columns = {
        _("Incident"): lambda row: row.incident.number,
        _("Title"): lambda row: row.incident.title,
        _("Customer"): lambda row: row.customer.name,
        _("Proof"): lambda row: row.proof,
        _("Told"): lambda row: ", ".join(f"{each['name']} <{each['email']}>" for each in row.told),
        _("Sent by"): lambda row: row.sent_by,
        _("Sent at"): lambda row: row.sent_at,
        pgettext("person", "Answer"): lambda row: row.get_answer_display(),
        _("Answered by"): lambda row: row.answered_by,
        _("Answered at"): lambda row: row.answered_at,
        _("Words"): lambda row: row.words,
    }
    return tables.export_csv(page.all(), columns, "causes")


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "incidents/cause.html", _context(_get(pk), person_of(request)))


def _get(pk: int) -> CauseNotice:
    rows = CauseNotice.objects.select_related("customer", "incident", "sent_by", "answered_by", "entry")
    return get_object_or_404(rows.prefetch_related("entry__attachments"), pk=pk)


def _context(notice: CauseNotice, person: User, **more: object) -> dict[str, object]:
    """`receipts`: what became of the mails, the proof that the customer was told."""
    mails = Delivery.objects.filter(customer=notice.customer_id, key__startswith=f"causenotice:{notice.pk}:told:")
    asks = not notice.answer and causes.may_answer(person, notice)
    return {
        "notice": notice,
        "receipts": mails.select_related("user").order_by("user__name", "medium"),
        "form": AgreeForm() if asks else None,
        **more,
    }


@require_POST
@require(can_write)
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    notice, person = _get(pk), person_of(request)
    if not causes.may_answer(person, notice):
        raise PermissionDenied
    form = AgreeForm(request.POST)
    if not form.is_valid():
        return render(request, "incidents/cause.html", _context(notice, person, form=form), status=422)
    causes.answer(notice=notice, actor=person, now=timezone.now(), **form.cleaned_data)
    messages.success(request, _("Your answer is kept."))
    return redirect("incidents:cause", notice.pk)
