"""One's own chat accounts: a code that binds one, and taking one away."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.permissions import person_of
from incidents.services import chat_identities


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def index(request: HttpRequest) -> HttpResponse:
    """A new code is in this answer and never again."""
    person, code = person_of(request), ""
    if request.method == "POST":
        code = chat_identities.make_code(person=person, now=timezone.now())
    minutes = int(chat_identities.LIFETIME.total_seconds() // 60)
    context = {"identities": chat_identities.of(person), "code": code, "minutes": minutes}
    return render(request, "incidents/chat_accounts.html", context)


@require_POST
def unbind(request: HttpRequest, pk: int) -> HttpResponse:
    if not chat_identities.unbind(person=person_of(request), identity_id=pk, now=timezone.now()):
        raise Http404
    messages.success(request, _("The chat account is yours no more."))
    return redirect("incidents:chat_accounts")
