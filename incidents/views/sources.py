"""Administration of the ways in."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import scope, secrets, tables
from accounts.models import Customer, User
from accounts.permissions import person_of, require
from incidents.inbound_samples import sample_of
from incidents.models import InboundKind, InboundMessage, InboundSource
from incidents.permissions import may_manage_way_in_of, may_manage_ways_in
from incidents.services import inbound_alarms, mailbox, sources
from incidents.source_forms import SECRET_NAMES, OwnerForm, SampleForm, SourceForm
from notify.inbound.reading import BadInputError

form_view = require_http_methods(["GET", "HEAD", "POST"])
RECENT: Final = 10
SHOWN: Final = 50


@require_safe
@require(may_manage_ways_in)
def index(request: HttpRequest) -> HttpResponse:
    day = Q(messages__received_at__gt=timezone.now() - timedelta(days=1))
    rows = InboundSource.objects.existing().select_related("customer")
    rows = rows.annotate(
        today=Count("messages", filter=day),
        failed=Count("messages", filter=day & Q(messages__verdict=InboundMessage.Verdict.FAILED)),
    )
    customers = list(Customer.objects.values_list("pk", "name"))
    filters: dict[str, tables.Filter] = {
        "kind": tables.Choice(_("Kind"), InboundKind.choices, "kind"),
        "customer": tables.Choice(_("Customer"), customers, "customer"),
    }
    sort = {"name": "name", "customer": ("customer__name", "name"), "kind": ("kind", "name"), "last": "received_at"}
    page = tables.page(request, rows, sort=sort, default="customer", search=["name"], filters=filters)
    return render(request, "incidents/sources.html", {"page": page, "now": timezone.now()})


@require_safe
@require(may_manage_ways_in)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "incidents/source.html", _about(request, _source(pk)))


@form_view
@require(may_manage_ways_in)
@sensitive_post_parameters(*SECRET_NAMES)
@never_cache
def add(request: HttpRequest) -> HttpResponse:
    """Two steps on one address: whose and which kind (in the query), then the rest. The answer shows the address."""
    person = person_of(request)
    asked = request.GET.dict()
    chosen = OwnerForm(asked if "kind" in asked else None, person=person, initial={"customer": asked.get("customer")})
    if not chosen.is_valid():
        return render(request, "incidents/source_kind.html", {"form": chosen})
    customer, kind = chosen.owner, chosen.cleaned_data["kind"]
    _must_manage(person, customer.pk if customer else None)
    form = SourceForm(request.POST or None, kind=kind, customer=customer)
    if request.method == "POST" and form.is_valid():
        source, address = sources.create(
            customer=customer, kind=kind, details=form.details, values=form.values, actor=person, now=timezone.now()
        )
        return _with_address(request, source, address)
    context = {"form": form, "kind": InboundKind(kind), "owner": customer}
    return render(request, "incidents/source_form.html", context, status=422 if form.errors else 200)


@form_view
@require(may_manage_ways_in)
@sensitive_post_parameters(*SECRET_NAMES)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    person, source = person_of(request), _managed(request, pk)
    present = frozenset(name for name in _secret_names(source) if secrets.is_set(source, name))
    form = SourceForm(
        request.POST or None, kind=source.kind, customer=source.customer, source=source, secrets_set=present
    )
    if request.method == "POST" and form.is_valid():
        sources.update(source=source, details=form.details, values=form.values, actor=person, now=timezone.now())
        messages.success(request, _("Saved."))
        return redirect("incidents:source", source.pk)
    context = {"form": form, "source": source, "kind": InboundKind(source.kind), "owner": source.customer}
    return render(request, "incidents/source_form.html", context, status=422 if form.errors else 200)


@require_POST
@require(may_manage_ways_in)
@never_cache
def rotate(request: HttpRequest, pk: int) -> HttpResponse:
    source = _managed(request, pk)
    address = sources.rotate(source=source, actor=person_of(request), now=timezone.now())
    return _with_address(request, source, address)


@require_POST
@require(may_manage_ways_in)
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    source = _managed(request, pk)
    sources.retire(source=source, actor=person_of(request), now=timezone.now())
    messages.success(request, _("“%(name)s” is shut for good.") % {"name": source.name})
    return redirect("incidents:sources")


@form_view
@require(may_manage_ways_in)
def preview(request: HttpRequest, pk: int) -> HttpResponse:
    """Paste a sample: what would be opened, where and how bad. Nothing is stored."""
    source = _managed(request, pk)
    form = SampleForm(request.POST or None, initial={"sample": sample_of(source.kind)})
    context: dict[str, object] = {"source": source, "form": form}
    if request.method == "POST" and form.is_valid():
        context |= _tried(source, form.cleaned_data["sample"])
    status = 422 if form.errors else 200
    return render(request, "incidents/source_preview.html", context, status=status)


@require_POST
@require(may_manage_ways_in)
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Sign in to the mailbox now and say what happened."""
    source = _managed(request, pk)
    if source.kind != InboundKind.EMAIL:
        raise Http404
    problem = mailbox.try_out(source, now=timezone.now())
    if getattr(request, "htmx", False):
        return render(request, "incidents/_source_test.html", {"problem": problem})
    if problem:
        messages.error(request, problem)
    else:
        messages.success(request, _("The mailbox can be read."))
    return redirect("incidents:source", source.pk)


def _tried(source: InboundSource, sample: str) -> dict[str, object]:
    is_json = sample.lstrip().startswith(("{", "["))
    kind = "application/json" if is_json else "application/x-www-form-urlencoded"
    try:
        signals = inbound_alarms.read(source, sample.strip().encode(errors="replace"), kind)
    except BadInputError as problem:
        return {"problem": str(problem), "body": _indented(sample)}
    return {"placed": inbound_alarms.place(source, signals[:SHOWN]), "count": len(signals), "tried": True}


def _indented(sample: str) -> str:
    try:
        return json.dumps(json.loads(sample), indent=2, ensure_ascii=False)[:5000]
    except (ValueError, RecursionError):
        return ""


def _with_address(request: HttpRequest, source: InboundSource, address: str) -> HttpResponse:
    """The page of the way in with its address on it, in this answer and never again."""
    if not address:
        messages.success(request, _("Saved."))
        return redirect("incidents:source", source.pk)
    return render(request, "incidents/source.html", {**_about(request, source), "address": address})


def _about(request: HttpRequest, source: InboundSource) -> dict[str, object]:
    now, recent = timezone.now(), InboundMessage.objects.for_lists().filter(source=source)
    return {
        "source": source,
        "now": now,
        "may_manage": may_manage_way_in_of(person_of(request), source.customer_id) and source.retired_at is None,
        "secrets": [(name, secrets.is_set(source, name)) for name in _secret_names(source)],
        "recent": recent.order_by("-pk")[:RECENT],
        "old_address_lives": source.old_token_until is not None and source.old_token_until > now,
        "public_url": settings.PUBLIC_URL,
    }


def _source(pk: int) -> InboundSource:
    """Unknown or foreign is 404; those of the provider itself are in reach of its managers' scope alone."""
    found: InboundSource = get_object_or_404(InboundSource.objects.select_related("customer"), pk=pk)
    return found


def _managed(request: HttpRequest, pk: int) -> InboundSource:
    source = _source(pk)
    _must_manage(person_of(request), source.customer_id)
    return source


def _must_manage(person: User, customer_id: int | None) -> None:
    if not may_manage_way_in_of(person, customer_id) or not scope.of(person).allows(customer_id):
        raise PermissionDenied


def _secret_names(source: InboundSource) -> tuple[str, ...]:
    return sources.SECRETS_OF_KIND.get(source.kind, ())
