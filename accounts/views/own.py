"""What people keep about themselves: profile and API tokens."""

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms.people import ProfileForm, TokenForm
from accounts.permissions import person_of
from accounts.services import profile as profiles
from accounts.services import tokens as token_service

form_view = require_http_methods(["GET", "HEAD", "POST"])


@form_view
def profile(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    initial = {"name": person.name, "phone": person.phone, "language": person.language}
    form = ProfileForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        profiles.update(
            person=person, name=data["name"], phone=data["phone"], language=data["language"], now=timezone.now()
        )
        messages.success(request, _("Saved."))
        response = redirect("accounts:profile")
        response.set_cookie(settings.LANGUAGE_COOKIE_NAME, data["language"], max_age=31536000, samesite="Lax")
        return response
    status = 422 if request.method == "POST" else 200
    return render(request, "accounts/profile.html", {"form": form}, status=status)


@form_view
@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    """One's own tokens; the key of a new one is in this answer and never again."""
    person, now, key = person_of(request), timezone.now(), ""
    form = TokenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        _token, key = token_service.issue(
            actor=person, name=data["name"], scope=data["scope"], valid_for=form.valid_for(), now=now
        )
        form = TokenForm()
    rows = token_service.of(person)
    status = 422 if form.errors else 200
    return render(
        request, "accounts/tokens.html", {"form": form, "tokens": rows, "key": key, "now": now}, status=status
    )


@require_POST
def token_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    token = next((row for row in token_service.of(person_of(request)) if row.pk == pk), None)
    if token is None:
        raise Http404
    token_service.revoke(token=token, actor=person_of(request), now=timezone.now())
    messages.success(request, _("The token no longer works."))
    return redirect("accounts:tokens")
