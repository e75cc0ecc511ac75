"""What a machine fetches that is to become a node: the script and the program. Neither holds a secret."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from bastion.installing import bundle, script


@require_safe
@login_not_required
@cache_control(no_cache=True)
def installer(request: HttpRequest) -> HttpResponse:
    found = bundle.made(settings.BASE_DIR)
    address = reverse("bastion:install-archive", args=[found.sha256])
    text = script.text(portal=settings.PUBLIC_URL, address=address, bundle=found)
    return HttpResponse(text, content_type="text/x-shellscript; charset=utf-8")


@require_safe
@login_not_required
@cache_control(max_age=86400, public=True, immutable=True)
def archive(request: HttpRequest, digest: str) -> HttpResponse:
    """By its digest: another one is gone."""
    found = bundle.made(settings.BASE_DIR)
    if digest != found.sha256:
        raise Http404
    return HttpResponse(found.data, content_type="application/gzip")
