"""The service catalogue: found by word, asked for in its own form; what changes something becomes a change."""

from itertools import groupby

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import Customer, User
from accounts.permissions import can_write, person_of, require
from assets.models import Asset
from changes.catalogue import Operation, operations, route
from changes.operation_forms import OperationForm
from changes.services import offers, targets
from changes.words import said
from incidents.forms_requests import RequestForm
from incidents.models import Incident
from incidents.views.incident import asked_customer, picker

MOST_DIGITS = 19


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """All of it by module and group; `?q=` leaves what holds every word in either language."""
    words = request.GET.get("q", "").replace("\x00", "").lower().split()[:8]
    found = [each for each in operations().values() if all(word in _haystack(each) for word in words)]
    modules = [
        (said(module), [(said(group), list(rows)) for group, rows in groupby(each, key=lambda one: one.group)])
        for module, each in groupby(_by_module(found), key=lambda one: one.module)
    ]
    context = {"modules": modules, "query": request.GET.get("q", ""), "count": len(found)}
    return render(request, "changes/catalogue.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(can_write)
def ask(request: HttpRequest, code: str) -> HttpResponse:
    """Ask for one operation: it arrives as a service request of its own kind (R73)."""
    operation = find(code)
    person = person_of(request)
    customer = asked_customer(request, person)
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    posted = request.POST if request.method == "POST" else None
    form = RequestForm(posted, request.FILES or None, customer=customer, initial={"title": said(operation.name)})
    questions = OperationForm(posted, operation=operation)
    if posted is not None and form.is_valid() and questions.is_valid() and _fits(form, operation):
        incident = _raise(customer, operation, form, questions, person)
        messages.success(request, _("%(number)s is received.") % {"number": incident.number})
        return redirect("incidents:detail", incident.pk)
    context = {"operation": operation, "route": route(operation.risk), "form": form, "questions": questions}
    status = 422 if posted is not None else 200
    return render(
        request, "changes/ask.html", {**context, **picker(request, customer, kinds=operation.kinds)}, status=status
    )


@require_safe
@require(can_write)
def disks(request: HttpRequest) -> HttpResponse:
    """Proposals for a disk ID: the disks of the assets that are ticked."""
    chosen = [pk for pk in request.GET.getlist("assets") if pk.isdecimal() and len(pk) < MOST_DIGITS]
    assets = Asset.objects.active().select_related("cloud_account").filter(pk__in=chosen)[: offers.MOST_ASSETS]
    found = offers.disks(assets, now=timezone.now())
    return render(request, "changes/_disk_offers.html", {"disks": found})


def find(code: str) -> Operation:
    """404 for what is not in the catalogue."""
    operation = operations().get(code)
    if operation is None:
        raise Http404
    return operation


def _fits(form: RequestForm, operation: Operation) -> bool:
    assets = form.cleaned_data["assets"]
    if operation.kinds and not assets:
        form.add_error("assets", _("Please choose what it is done to."))
    wrong = [asset.name for asset in assets if not operation.about(asset.kind)]
    if wrong:
        form.add_error("assets", _("This operation is not about: %(names)s.") % {"names": ", ".join(wrong)})
    return form.is_valid()


def _raise(
    customer: Customer, operation: Operation, form: RequestForm, questions: OperationForm, person: User
) -> Incident:
    given = form.cleaned_data
    return targets.ask(
        customer=customer,
        operation=operation,
        fields=questions.values(),
        title=given["title"],
        description=given["description"],
        assets=given["assets"],
        wished_at=given["wished_at"],
        files=given["attachments"],
        actor=person,
        now=timezone.now(),
    )


def _haystack(operation: Operation) -> str:
    parts = (operation.name, operation.group, operation.module)
    return " ".join([operation.code, *(f"{words.en} {words.zh}" for words in parts)]).lower()


def _by_module(found: list[Operation]) -> list[Operation]:
    """Modules and groups together, each where its first operation stands."""
    modules = list(dict.fromkeys(each.module for each in found))
    groups = list(dict.fromkeys(each.group for each in found))
    return sorted(found, key=lambda each: (modules.index(each.module), groups.index(each.group)))
