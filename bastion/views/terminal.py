"""The web terminal: its page, and what it asks before it connects."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.errors import DomainError
from accounts.numbers import row_number
from accounts.permissions import can_write, person_of, require
from bastion.services import web_terminal
from bastion.views.terminal_words import words
from bastion.words import regime_line

KEYS = (
    ("esc", "Esc"),
    ("tab", "Tab"),
    ("ctrl", "Ctrl"),
    ("alt", "Alt"),
    ("up", "↑"),
    ("down", "↓"),
    ("left", "←"),
    ("right", "→"),
    ("home", "Home"),
    ("end", "End"),
    ("pgup", "PgUp"),
    ("pgdn", "PgDn"),
    ("pipe", "|"),
    ("slash", "/"),
    ("tilde", "~"),
    ("dash", "-"),
)
"""Of the bar for screens without a keyboard."""


@require_safe
@require(can_write)
def index(request: HttpRequest) -> HttpResponse:
    """`?asset=`: opens the form for this resource."""
    return _page(request, asset=request.GET.get("asset", ""))


@require_safe
@require(can_write)
def shared(request: HttpRequest, share_id: int) -> HttpResponse:
    """Where an invitation leads. 404 for somebody else's, and for one that does not hold any more."""
    try:
        share = web_terminal.invitation(person_of(request), share_id=share_id, now=timezone.now())
    except DomainError:
        raise Http404 from None
    return _page(request, share=share.pk)


@require_safe
@require(can_write)
def resources(request: HttpRequest) -> JsonResponse:
    found = web_terminal.resources(person_of(request), query=request.GET.get("q", ""), now=timezone.now())
    rows = [
        {"asset": one.pk, "name": one.name, "address": one.address, "customer": one.customer.short_name}
        for one in found
    ]
    return JsonResponse({"resources": rows})


@require_safe
@require(can_write)
def opening(request: HttpRequest, asset_id: int) -> JsonResponse:
    """Accounts and work to choose from. 404 for what is out of reach."""
    try:
        found = web_terminal.opening(person_of(request), asset_id=asset_id, now=timezone.now())
    except DomainError:
        raise Http404 from None
    return JsonResponse(
        {
            "asset": found.asset.pk,
            "name": found.asset.name,
            "accounts": found.accounts,
            "needs_work": found.needs_work,
            "terms": [regime_line(found.regime), _("Everything typed, shown and transferred is kept.")],
            "offers": [{"number": number, "title": title} for number, title in found.offers],
        }
    )


def _page(request: HttpRequest, *, asset: str = "", share: int = 0) -> HttpResponse:
    start = {"asset": row_number(asset), "share": share}
    return render(request, "bastion/terminal.html", {"start": start, "words": words(), "keys": KEYS})
