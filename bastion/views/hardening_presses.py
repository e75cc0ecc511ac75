"""What people press about hardening: exceptions, remedies, what is asked, and direct log-ins."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_http_methods, require_safe

from accounts import tables
from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from accounts.refusals import in_form
from bastion.hardening.catalogue import Item, items
from bastion.hardening_forms import EndForm, ExceptionForm, ExplainForm, PolicyForm, PortsForm, RemedyForm
from bastion.hardening_words import item_name
from bastion.models import DirectLogin, HardeningException, HardeningPolicy
from bastion.services.hardening import direct, exceptions, policies, reading, remedies, rights
from changes.scripts import shipped
from changes.words import said

form_view = require_http_methods(["GET", "HEAD", "POST"])


@form_view
@require(is_provider)
def except_item(request: HttpRequest, asset_id: int, item: str) -> HttpResponse:
    """Ask the customer to accept that an item is not fulfilled."""
    asset, entry = get_object_or_404(reading.servers(), pk=asset_id), _item(item)
    form = ExceptionForm.of(_posted(request), timezone.now())
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            row = exceptions.ask(
                asset=asset,
                item=item,
                reason=form.cleaned_data["reason"],
                until=form.ends_at,
                actor=person_of(request),
                now=timezone.now(),
            )
            messages.success(request, _("The customer is asked to sign."))
            return redirect("bastion:hardening-exception", row.pk)
    back = reverse("bastion:hardening-server", args=[asset.pk])
    note = _("Until a named contact has signed, the item counts as not fulfilled.")
    title = _("Exception: %(item)s") % {"item": said(entry.name)}
    return _form(request, form, title, _("Ask the customer"), back=back, note=note)


@form_view
@require(is_provider)
def make_right(request: HttpRequest, asset_id: int, item: str) -> HttpResponse:
    """Draft the change that makes an item right."""
    asset, entry = get_object_or_404(reading.servers(), pk=asset_id), _item(item)
    if not entry.remedy.operation:
        raise Http404
    script = shipped().get(entry.remedy.script)
    asked = script.script.parameters if script else ()
    fields = tuple(remedies.fields(asked))
    form = RemedyForm(_posted(request), asked=fields, values=remedies.values_for(entry, asset, now=timezone.now()))
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            remedy = remedies.propose(
                asset=asset, item=item, values=form.values, actor=person_of(request), now=timezone.now()
            )
            messages.success(request, _("Drafted: it goes its way like any other change."))
            return redirect("changes:detail", remedy.change_id)
    title = _("Make it right: %(item)s") % {"item": said(entry.name)}
    back = reverse("bastion:hardening-server", args=[asset.pk])
    note = said(entry.remedy.how)
    if entry.remedy.script and not remedies.is_approved(entry.remedy.script):
        wait = _("The script runs nowhere before a manager has approved it under “Scripts on hosts”.")
        note = f"{note} {wait}"
    return _form(request, form, title, _("Draft the change"), back=back, note=note)


@require_safe
def exception_list(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    filters: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), HardeningException.State.choices, "state"),
        "item": tables.Choice(_("Item"), [(code, item_name(code)) for code in items()], "item"),
        "asset": "asset_id",
    }
    page = tables.page(
        request,
        HardeningException.objects.select_related("customer", "asset", "asked_by", "attestation__answer"),
        sort={"server": ("asset__name", "item"), "until": "until", "asked": "asked_at", "state": ("state", "until")},
        default="-asked",
        search=("asset__name", "reason", "customer__name"),
        filters=_with_customers(request, filters),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export_exceptions(page)
    context = {"page": page, "shows_customer": is_provider(person)}
    return render(request, "bastion/hardening_exceptions.html", context)


@require_safe
def exception_detail(request: HttpRequest, pk: int) -> HttpResponse:
    rows = HardeningException.objects.select_related("customer", "asset", "asked_by", "ended_by", "attestation__answer")
    row = get_object_or_404(rows, pk=pk)
    is_open = row.state in (HardeningException.State.ASKED, HardeningException.State.ACCEPTED)
    context = {"exception": row, "item": items().get(row.item), "may_end": is_open and is_provider(person_of(request))}
    return render(request, "bastion/hardening_exception.html", context)


@form_view
@require(is_provider)
def end_exception(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(HardeningException.objects.select_related("asset"), pk=pk)
    form = EndForm(_posted(request))
    back = reverse("bastion:hardening-exception", args=[pk])
    if request.method == "POST" and form.is_valid():
        words = form.cleaned_data["words"]
        with in_form(form):
            exceptions.end(exception=row, words=words, actor=person_of(request), now=timezone.now())
            messages.success(request, _("Ended: the item counts again."))
            return redirect(back)
    return _form(request, form, _("End the exception"), _("End it"), back=back)


@form_view
@require(rights.may_set)
def standard(request: HttpRequest, customer_id: int) -> HttpResponse:
    """What is asked of all servers of a customer."""
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    form = PolicyForm.of(policies.of(customer), _posted(request))
    back = f"{reverse('bastion:hardening')}?customer={customer.pk}"
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            policies.save(customer=customer, terms=form.terms, actor=person_of(request), now=timezone.now())
            messages.success(request, _("Saved: the next look goes by it."))
            return redirect(back)
    title = _("What is asked of the servers of %(customer)s") % {"customer": customer}
    return _form(request, form, title, _("Save"), back=back)


@form_view
@require(rights.may_set)
def ports(request: HttpRequest, asset_id: int) -> HttpResponse:
    """What may listen on one server beside what holds for all."""
    asset = get_object_or_404(reading.servers(), pk=asset_id)
    policy = HardeningPolicy.objects.filter(asset=asset).first() or HardeningPolicy(asset=asset)
    form = PortsForm.of(policy, _posted(request))
    back = reverse("bastion:hardening-server", args=[asset.pk])
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            policies.save(
                customer=asset.customer, terms=form.terms, actor=person_of(request), now=timezone.now(), asset=asset
            )
            messages.success(request, _("Saved: the next look goes by it."))
            return redirect(back)
    return _form(request, form, _("Ports of %(server)s") % {"server": asset.name}, _("Save"), back=back)


@require_safe
def login_list(request: HttpRequest) -> HttpResponse:
    """Log-ins that went round the bastion."""
    person = person_of(request)
    told = [("no", _("not explained")), ("yes", _("explained"))]
    filters: dict[str, tables.Filter] = {
        "explained": tables.Choice(_("Explanation"), told, lambda value: Q(explained_at__isnull=value == "no")),
        "asset": "asset_id",
        "account": "account",
    }
    page = tables.page(
        request,
        DirectLogin.objects.select_related("customer", "asset", "incident", "explained_by"),
        sort={
            "at": "at",
            "server": ("asset__name", "-at"),
            "account": ("account", "-at"),
            "source": ("source", "-at"),
            "customer": ("customer__name", "-at"),
        },
        default="-at",
        search=("asset__name", "account", "source", "key", "explanation"),
        filters=_with_customers(request, filters),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export_logins(page)
    waiting = DirectLogin.objects.filter(explained_at=None).count()
    context = {
        "page": page,
        "shows_customer": is_provider(person),
        "waiting": waiting,
        "may_explain": direct.may_explain(person, person.customer_id or 0),
    }
    return render(request, "bastion/hardening_logins.html", context)


@form_view
def explain(request: HttpRequest, pk: int) -> HttpResponse:
    """Say who it was, and why."""
    login = get_object_or_404(DirectLogin.objects.select_related("customer", "asset"), pk=pk)
    person = person_of(request)
    rights.require(direct.may_explain(person, login.customer_id))
    form = ExplainForm(_posted(request))
    back = reverse("bastion:direct-logins")
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            direct.explain(login=login, actor=person, now=timezone.now(), **form.cleaned_data)
            messages.success(request, _("Written down."))
            return redirect(back)
    title = _("Explain: %(login)s") % {"login": login}
    return _form(request, form, title, _("Explain"), back=back, note=login.source or _("at the console"))


def _item(code: str) -> Item:
    entry = items().get(code)
    if entry is None:
        raise Http404
    return entry


def _posted(request: HttpRequest) -> dict[str, object] | None:
    return request.POST if request.method == "POST" else None  # type: ignore[return-value]


def _form(
    request: HttpRequest, form: forms.Form, title: str, button: str, *, back: str, note: str = ""
) -> HttpResponse:
    context = {"form": form, "title": title, "button": button, "back": back, "note": note}
    return render(request, "bastion/hardening_form.html", context, status=422 if form.errors else 200)


def _with_customers(request: HttpRequest, filters: dict[str, tables.Filter]) -> dict[str, tables.Filter]:
    if not is_provider(person_of(request)):
        return filters
    customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
    return {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **filters}


def _export_exceptions(page: tables.Page[HardeningException]) -> HttpResponse:
    columns: dict[str, Callable[[HardeningException], object]] = {
        _("Customer"): lambda one: one.customer.name,
        _("Server"): lambda one: one.asset.name,
        _("Item"): lambda one: item_name(one.item),
        _("Reason"): lambda one: one.reason,
        _("Until"): lambda one: one.until,
        _("State"): lambda one: one.get_state_display(),
        _("Signed by"): _signer,
    }
    return tables.export_csv(page.all(), columns, "hardening-exceptions")


def _signer(row: HardeningException) -> str:
    given = None if row.attestation is None else row.attestation.given
    return "" if given is None else given.signer_name


def _export_logins(page: tables.Page[DirectLogin]) -> HttpResponse:
    columns: dict[str, Callable[[DirectLogin], object]] = {
        _("Customer"): lambda one: one.customer.name,
        _("Server"): lambda one: one.asset.name,
        _("At"): lambda one: one.at,
        _("Account"): lambda one: one.account,
        pgettext("log-in", "From"): lambda one: one.source or "",
        _("Method"): lambda one: one.method,
        _("Key"): lambda one: one.key,
        _("Found in"): lambda one: one.get_found_in_display(),
        _("Ended at"): lambda one: one.ended_at,
        _("Incident"): lambda one: "" if one.incident is None else one.incident.number,
        _("Explanation"): lambda one: one.explanation,
    }
    return tables.export_csv(page.all(), columns, "direct-logins")
