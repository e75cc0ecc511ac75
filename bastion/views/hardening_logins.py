"""Log-ins that went round the bastion: listed and explained."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.permissions import is_provider, person_of
from accounts.refusals import in_form
from bastion.hardening_forms import ExplainForm
from bastion.models import DirectLogin
from bastion.services.hardening import direct, rights
from bastion.views.choosing import with_customers
from bastion.views.hardening_form import form_page, form_view, posted


@require_safe
def index(request: HttpRequest) -> HttpResponse:
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
        filters=with_customers(request, filters),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
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
    form = ExplainForm(posted(request))
    back = reverse("bastion:direct-logins")
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            direct.explain(login=login, actor=person, now=timezone.now(), **form.cleaned_data)
            messages.success(request, _("Written down."))
            return redirect(back)
    title = _("Explain: %(login)s") % {"login": login}
    return form_page(request, form, title, _("Explain"), back=back, note=login.source or _("at the console"))


def _export(page: tables.Page[DirectLogin]) -> HttpResponse:
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
