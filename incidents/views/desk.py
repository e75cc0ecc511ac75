"""The service desk's number: who answers it now, how a telephone exchange asks, and who answered it before (R131)."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import scope, tables
from accounts.models import RosterShift
from accounts.permissions import is_provider, require
from incidents.models import DeskForward
from incidents.services import desk


@require_safe
@require(is_provider)
def show(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    with scope.platform(desk.WHY):
        page = tables.page(
            request,
            DeskForward.objects.filter(customer=None).select_related("user"),
            sort={"since": "since"},
            default="-since",
            search=["user__name", "number"],
        )
        context = {
            "now_answering": desk.answering(at=now),
            "page": page,
            "duties": dict(RosterShift.Duty.choices),
            "desk_number": settings.EMERGENCY_PHONE,
            "address": f"{settings.PUBLIC_URL}/api/v1/service-desk/",
        }
        return render(request, "incidents/desk.html", context)
