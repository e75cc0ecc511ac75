"""Dashboards: the list, one of them, arranging it, and the links under which others look at it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import can_write, is_provider, person_of
from assets.models import Asset
from monitoring.dashboard_forms import DashboardForm, NameForm, ShareForm, form_for
from monitoring.models import Dashboard, DashboardShare
from monitoring.services import boxes, dashboards, graphs
from monitoring.views.windows import window_of
from monitoring.widgets import Widget, WidgetKind

KINDS_IN_ORDER = tuple(WidgetKind)
LISTS = frozenset({WidgetKind.VALUE, WidgetKind.TOP, WidgetKind.ALERTS, WidgetKind.INCIDENTS, WidgetKind.HEALTH})
"""Kinds whose box is a fragment of its own; the rest are graphs, or stand in the page itself."""


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The dashboards in reach."""
    person = person_of(request)
    filters: dict[str, tables.Filter] = {}
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        filters["customer"] = tables.Choice(_("Customer"), customers, "customer_id")
    page = tables.page(
        request,
        Dashboard.objects.present().select_related("customer", "owner"),
        sort={"name": "name", "customer": ("customer__name", "name"), "changed": "changed_at"},
        default="name",
        search=["name", "customer__name"],
        filters=filters,
    )
    context = {"page": page, "shows_customer": is_provider(person), "may_create": can_write(person)}
    return render(request, "monitoring/dashboard_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    person = _writer(request)
    customers = Customer.objects.all()
    if person.customer is not None:
        customers = customers.filter(pk=person.customer.pk)
    form = DashboardForm(request.POST or None, customers=customers, initial={"customer": request.GET.get("customer")})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        made = dashboards.create(customer=data["customer"], name=data["name"], actor=person, now=timezone.now())
        return redirect("monitoring:dashboard", made.pk)
    return _form(request, form, _("New dashboard"))


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    dashboard = _dashboard(pk)
    context = {
        "dashboard": dashboard,
        "widgets": dashboard.parsed,
        "kinds": KINDS_IN_ORDER,
        "ranges": list(graphs.RANGES),
        "range": graphs.DEFAULT_RANGE,
        "may_edit": dashboards.may_edit(person_of(request), dashboard),
        "may_copy": can_write(person_of(request)),
        "editing": request.GET.get("edit") == "1",
        "shows_customer": is_provider(person_of(request)),
        "shared": False,
    }
    return render(request, "monitoring/dashboard.html", context)


@require_POST
def arrange(request: HttpRequest, pk: int) -> JsonResponse:
    """The arrangement from the browser: `{"version": 3, "places": [...]}`."""
    person, dashboard = _writer(request), _dashboard(pk)
    try:
        asked = json.loads(request.body)
        version, places = int(asked["version"]), asked["places"]
    except (ValueError, TypeError, KeyError) as error:
        raise DomainError(_("The arrangement could not be read. Nothing was saved."), code="unreadable") from error
    dashboard = dashboards.arrange(
        dashboard=dashboard, places=places, version=version, actor=person, now=timezone.now()
    )
    return JsonResponse({"version": dashboard.version})


@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest, pk: int, box: str) -> HttpResponse:
    dashboard, person = _editable(request, pk)
    if box not in {*WidgetKind}:
        raise Http404
    kind = WidgetKind(box)
    assets = Asset.objects.active().filter(customer=dashboard.customer_id)
    form = form_for(kind)(request.POST or None, assets=assets, initial=request.GET.dict())
    if request.method == "POST" and form.is_valid():
        dashboards.add_widget(dashboard=dashboard, widget=form.widget(), actor=person, now=timezone.now())
        return redirect("monitoring:dashboard", pk)
    return _form(request, form, dashboards.kind_label(kind), back=pk)


@require_http_methods(["GET", "HEAD", "POST"])
def rename(request: HttpRequest, pk: int) -> HttpResponse:
    dashboard, person = _editable(request, pk)
    form = NameForm(request.POST or None, initial={"name": dashboard.name})
    if request.method == "POST" and form.is_valid():
        dashboards.rename(dashboard=dashboard, name=form.cleaned_data["name"], actor=person, now=timezone.now())
        return redirect("monitoring:dashboard", pk)
    return _form(request, form, _("Rename the dashboard"), back=pk)


@require_POST
def copy(request: HttpRequest, pk: int) -> HttpResponse:
    made = dashboards.copy(dashboard=_dashboard(pk), actor=_writer(request), now=timezone.now())
    messages.success(request, _("This is your copy."))
    return redirect("monitoring:dashboard", made.pk)


@require_POST
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    dashboards.undo(dashboard=_dashboard(pk), actor=_writer(request), now=timezone.now())
    messages.success(request, _("The dashboard is as it was before the last change."))
    return redirect("monitoring:dashboard", pk)


@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    dashboards.remove(dashboard=_dashboard(pk), actor=_writer(request), now=timezone.now())
    context = {"dashboard_id": pk}
    messages.success(request, _("The dashboard has been removed."))
    return render(request, "monitoring/dashboard_removed.html", context)


@require_POST
def bring_back(request: HttpRequest, pk: int) -> HttpResponse:
    dashboard = get_object_or_404(Dashboard.objects, pk=pk)
    dashboards.bring_back(dashboard=dashboard, actor=_writer(request), now=timezone.now())
    return redirect("monitoring:dashboard", pk)


@require_safe
def widget(request: HttpRequest, pk: int, list_id: str) -> HttpResponse:
    """What stands in one box."""
    dashboard = _dashboard(pk)
    return show_box(request, dashboard, find_widget(dashboard, list_id), linked=True)


@require_safe
def widget_data(request: HttpRequest, pk: int, graph_id: str) -> JsonResponse:
    """The figures of one graph."""
    dashboard = _dashboard(pk)
    return figures(request, dashboard, find_widget(dashboard, graph_id))


@require_http_methods(["GET", "HEAD", "POST"])
def shares(request: HttpRequest, pk: int) -> HttpResponse:
    """The links to a dashboard; making one shows it once."""
    dashboard, person = _editable(request, pk)
    now = timezone.now()
    form = ShareForm(request.POST or None, initial={"days": 7})
    secret, made = "", None
    if request.method == "POST" and form.is_valid():
        lasts = timedelta(days=form.cleaned_data["days"])
        made, secret = dashboards.share(
            dashboard=dashboard, purpose=form.cleaned_data["purpose"], lasts=lasts, actor=person, now=now
        )
    links = dashboard.shares.select_related("created_by")[:50]
    rows = [(link, link.is_valid(now)) for link in links]
    context = {"dashboard": dashboard, "rows": rows, "form": form, "made": made, "secret": secret}
    return render(request, "monitoring/dashboard_shares.html", context, status=422 if form.errors else 200)


@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    share = get_object_or_404(DashboardShare.objects.select_related("dashboard__customer"), pk=pk)
    dashboards.revoke(share=share, actor=_writer(request), now=timezone.now())
    messages.success(request, _("The link no longer works."))
    return redirect("monitoring:dashboard-shares", share.dashboard_id)


# --- for this module and for shared links ---------------------------------------------------------------------------


def show_box(request: HttpRequest, dashboard: Dashboard, widget: Widget, *, linked: bool) -> HttpResponse:
    """`linked`: whether the names in it lead to pages, which people with a mere link cannot open."""
    if widget.kind not in LISTS:
        raise Http404
    context: dict[str, Any] = {"widget": widget, "linked": linked, "now": timezone.now()}
    context |= boxes.content(dashboard, widget, now=context["now"])
    return render(request, f"monitoring/_box_{widget.kind.value}.html", context)


def figures(request: HttpRequest, dashboard: Dashboard, widget: Widget) -> JsonResponse:
    view, since = window_of(request)
    found = boxes.graph(dashboard, widget, view, since=since)
    if found is None:
        raise Http404
    response = JsonResponse(found)
    response["Cache-Control"] = "private, no-store"
    return response


def find_widget(dashboard: Dashboard, widget_id: str) -> Widget:
    found = dashboard.widget(widget_id)
    if found is None:
        raise Http404
    return found


def _dashboard(pk: int) -> Dashboard:
    found: Dashboard = get_object_or_404(Dashboard.objects.present().select_related("customer", "owner"), pk=pk)
    return found


def _editable(request: HttpRequest, pk: int) -> tuple[Dashboard, User]:
    dashboard, person = _dashboard(pk), person_of(request)
    if not dashboards.may_edit(person, dashboard):
        raise PermissionDenied
    return dashboard, person


def _writer(request: HttpRequest) -> User:
    person = person_of(request)
    if not can_write(person):
        raise PermissionDenied
    return person


def _form(request: HttpRequest, form: Any, title: str, *, back: int | None = None) -> HttpResponse:
    context = {"form": form, "title": title, "dashboard_id": back}
    return render(request, "monitoring/dashboard_form.html", context, status=422 if form.errors else 200)
