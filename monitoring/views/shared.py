"""Dashboards shown to people without an account, by a link that ends.

The link holds its secret behind `#`, which browsers send to nobody: it stands in no log and no Referer. The first page
hands it over in a POST and gets a signed cookie, good for this link alone and only while the link is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from accounts import limiter, scope
from monitoring.models import DashboardShare
from monitoring.services import dashboards, graphs
from monitoring.views.dashboards import figures, find_widget, show_box

SALT = "monitoring.shared"
SharedView = Callable[..., HttpResponse]


@require_safe
@never_cache
@login_not_required
def entrance(request: HttpRequest) -> HttpResponse:
    """The same page for every link: it takes number and secret from behind the # and knocks with them."""
    return render(request, "monitoring/shared_entrance.html")


@require_POST
@never_cache
@login_not_required
@sensitive_post_parameters("secret")
def knock(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    share = dashboards.open_share(request.POST.get("secret", ""), now=now)
    if share is None:
        return limiter.too_many(request) if limiter.failed(request, "shared") else _shut(request)
    response = HttpResponseRedirect(reverse("monitoring:shared", args=[share.pk]))
    response.set_cookie(
        _cookie(share.pk),
        signing.dumps(share.digest, salt=SALT),
        max_age=int((share.expires_at - now).total_seconds()),
        path=reverse("monitoring:shared", args=[share.pk]),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def behind_the_link(view: SharedView) -> SharedView:
    """Opens the scope of the link's customer for whoever brings its cookie; otherwise says that the link has ended."""

    @wraps(view)
    def guarded(request: HttpRequest, share_id: int, *args: Any, **kwargs: Any) -> HttpResponse:
        share = _invited(request, share_id, timezone.now())
        if share is None:
            return _shut(request)
        with scope.customer(share.customer_id):
            return view(request, share, *args, **kwargs)

    return never_cache(login_not_required(guarded))


@require_safe
@behind_the_link
def show(request: HttpRequest, share: DashboardShare) -> HttpResponse:
    context = {
        "share": share,
        "dashboard": share.dashboard,
        "widgets": share.dashboard.parsed,
        "ranges": list(graphs.RANGES),
        "range": graphs.DEFAULT_RANGE,
        "shared": True,
    }
    return render(request, "monitoring/dashboard_shared.html", context)


@require_safe
@behind_the_link
def widget(request: HttpRequest, share: DashboardShare, list_id: str) -> HttpResponse:
    return show_box(request, share.dashboard, find_widget(share.dashboard, list_id), linked=False)


@require_safe
@behind_the_link
def widget_data(request: HttpRequest, share: DashboardShare, graph_id: str) -> HttpResponse:
    return figures(request, share.dashboard, find_widget(share.dashboard, graph_id))


def _invited(request: HttpRequest, share_id: int, now: datetime) -> DashboardShare | None:
    try:
        digest = signing.loads(request.COOKIES.get(_cookie(share_id), ""), salt=SALT)
    except signing.BadSignature:
        return None
    share = dashboards.find_share(share_id, now=now)
    return share if share is not None and share.digest == digest else None


def _cookie(share_id: int) -> str:
    return f"shared-{share_id}"


def _shut(request: HttpRequest) -> HttpResponse:
    return render(request, "monitoring/shared_shut.html", status=404)
