"""What has to be signed: the list, one with its proof, the named contact's own answer, paper put in by an engineer."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db.models import Q
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import limiter, scope, tables
from accounts.downloads import download
from accounts.models import Contact, Customer, User
from accounts.permissions import can_write, is_provider, person_of, require
from incidents.forms_requests import AnswerForm, RecordForm
from incidents.models import Attestation, AttestationAnswer, Purpose
from incidents.services import attestations

form_view = require_http_methods(["GET", "HEAD", "POST"])
Outcome = AttestationAnswer.Outcome


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    rows = Attestation.objects.select_related("customer", "answer", "asked_by", "answer__signer")
    page = tables.page(
        request,
        rows,
        sort={"number": "pk", "asked": "asked_at", "purpose": ("purpose", "-asked_at"), "expires": "expires_at"},
        default="-asked",
        search=["subject_name", "text", "answer__signer_name"],
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    now = timezone.now()
    mine = [] if person.customer_id is None else attestations.open_for(person.customer_id, person, now)
    context = {"page": page, "now": now, "mine": mine, "shows_customer": is_provider(person)}
    return render(request, "incidents/attestations.html", context)


def _filters(person: User) -> dict[str, tables.Filter]:
    states: list[tuple[object, tables.Text]] = [("open", _("Waiting for a signature")), *Outcome.choices]
    chosen: dict[str, tables.Filter] = {
        "purpose": tables.Choice(_("Purpose"), Purpose.choices, "purpose"),
        "outcome": tables.Choice(
            _("Outcome"), states, lambda value: Q(answer=None) if value == "open" else Q(answer__outcome=value)
        ),
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _export(page: tables.Page[Attestation]) -> HttpResponse:
    columns = {
        _("Number"): lambda row: row.number,
        _("Customer"): lambda row: row.customer.name,
        _("Purpose"): lambda row: row.get_purpose_display(),
        pgettext("signature", "About"): lambda row: row.subject_name,
        _("Asked at"): lambda row: row.asked_at,
        _("Asked by"): lambda row: row.asked_by,
        _("Outcome"): lambda row: row.given and row.given.get_outcome_display(),
        _("Signer"): lambda row: row.given and row.given.signer_name,
        _("Duty"): lambda row: row.given and row.given.get_signer_duty_display(),
        _("Signed at"): lambda row: row.given and row.given.at,
        _("Way"): lambda row: row.given and row.given.get_channel_display(),
        _("Address"): lambda row: row.given and row.given.ip,
        _("SHA-256 of the text"): lambda row: row.text_sha256,
        _("SHA-256 of the file"): lambda row: row.given and row.given.file_sha256,
    }
    return tables.export_csv(page.all(), columns, "attestations")


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    attestation, person = _get(pk), person_of(request)
    return render(request, "incidents/attestation.html", _context(attestation, person))


def _get(pk: int) -> Attestation:
    rows = Attestation.objects.select_related(
        "customer", "answer", "asked_by", "incident", "answer__signer", "answer__recorded_by"
    )
    return get_object_or_404(rows, pk=pk)


def _context(attestation: Attestation, person: User, **more: object) -> dict[str, object]:
    now = timezone.now()
    is_open = attestation.is_open(now)
    records = is_open and is_provider(person)
    named = attestations.named(attestation)
    return {
        "attestation": attestation,
        "answer": attestation.given,
        "is_open": is_open,
        "named": named,
        "proof": attestations.verify(attestation),
        "form": AnswerForm() if attestations.may_sign(attestation, person, now) else None,
        "record_form": RecordForm(contacts=named) if records else None,
        "may_withdraw": records,
        **more,
    }


@require_POST
@require(can_write)
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    """The named contact's click in the portal: signed or declined."""
    attestation, person = _get(pk), person_of(request)
    attestations.signer_for(attestation, person)
    form = AnswerForm(request.POST)
    if not form.is_valid():
        context = _context(attestation, person, form=form)
        return render(request, "incidents/attestation.html", context, status=422)
    _take(request, attestation, form, person, by_link=False)
    return redirect("incidents:attestation", attestation.pk)


def _take(request: HttpRequest, attestation: Attestation, form: AnswerForm, person: User, *, by_link: bool) -> None:
    said, ip = form.cleaned_data, request.META.get("REMOTE_ADDR") or None
    act = attestations.sign if said["answer"] == "sign" else attestations.decline
    act(attestation=attestation, actor=person, words=said["words"], ip=ip, by_link=by_link, now=timezone.now())
    done = _("Signed. Thank you.") if said["answer"] == "sign" else _("Declined; the service team reads why.")
    messages.success(request, done)


@require_POST
@require(is_provider)
def record(request: HttpRequest, pk: int) -> HttpResponse:
    """What came on paper or by mail, with the document."""
    attestation, person = _get(pk), person_of(request)
    form = RecordForm(request.POST, request.FILES, contacts=attestations.named(attestation))
    if not form.is_valid():
        context = _context(attestation, person, record_form=form)
        return render(request, "incidents/attestation.html", context, status=422)
    attestations.record(attestation=attestation, actor=person, now=timezone.now(), **form.cleaned_data)
    messages.success(request, _("The signature is kept with its document."))
    return redirect("incidents:attestation", attestation.pk)


@require_POST
@require(is_provider)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    attestation = _get(pk)
    words = request.POST.get("words", "")[:4000]
    attestations.withdraw(attestation=attestation, actor=person_of(request), words=words, now=timezone.now())
    messages.success(request, _("Withdrawn; it stays visible."))
    return redirect("incidents:attestation", attestation.pk)


@require_safe
def document(request: HttpRequest, pk: int) -> FileResponse:
    """The signed document, as a download."""
    given = _get(pk).given
    if given is None:
        raise Http404
    return download(given.stored_name, name=given.file_name, content_type=given.file_type)


@form_view
@never_cache
@login_not_required
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """The page behind the mailed link: looking shows the text, sending signs it. The link names who signs."""
    numbers = attestations.read_token(token)
    found = None if numbers is None else _behind(*numbers)
    if found is None:
        if limiter.failed(request, "attestation"):
            return limiter.too_many(request)
        return render(request, "incidents/attest_shut.html", status=410)
    attestation, contact = found
    with scope.customer(attestation.customer_id):
        if not attestations.may_sign(attestation, contact.user, timezone.now()):
            return render(request, "incidents/attest_shut.html", {"attestation": attestation}, status=410)
        form = AnswerForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            _take(request, attestation, form, contact.user, by_link=True)
            return render(request, "incidents/attest_done.html", {"attestation": _get(attestation.pk)})
        context = {"attestation": attestation, "contact": contact, "form": form}
        return render(request, "incidents/attest.html", context, status=422 if form.errors else 200)


def _behind(attestation_id: int, contact_id: int) -> tuple[Attestation, Contact] | None:
    with scope.platform("a signed link names its attestation and its signer"):
        rows = Attestation.objects.select_related("customer", "answer", "incident", "asked_by")
        attestation = rows.filter(pk=attestation_id).first()
        contact = Contact.objects.select_related("user", "user__customer").filter(pk=contact_id).first()
    if attestation is None or contact is None or contact.customer_id != attestation.customer_id:
        return None
    return attestation, contact
