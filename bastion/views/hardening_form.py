"""A form about hardening: how it is asked for, the item that it is about, its page."""

from __future__ import annotations

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from bastion.hardening.catalogue import Item, items

form_view = require_http_methods(["GET", "HEAD", "POST"])


def get_item(code: str) -> Item:
    """404 for what is none."""
    entry = items().get(code)
    if entry is None:
        raise Http404
    return entry


def posted(request: HttpRequest) -> dict[str, object] | None:
    return request.POST if request.method == "POST" else None  # type: ignore[return-value]


def form_page(
    request: HttpRequest, form: forms.Form, title: str, button: str, *, back: str, note: str = ""
) -> HttpResponse:
    context = {"form": form, "title": title, "button": button, "back": back, "note": note}
    return render(request, "bastion/hardening_form.html", context, status=422 if form.errors else 200)
