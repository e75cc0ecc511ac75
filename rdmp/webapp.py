"""The portal as an installable web app: its manifest, its service worker and the page for when there is no network."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

BLUE, WHITE = "#0b5cad", "#ffffff"


@require_safe
@login_not_required
@cache_control(max_age=3600, public=True)
def manifest(_request: HttpRequest) -> HttpResponse:
    icons = [
        {"src": static(f"img/icon-{size}.png"), "sizes": f"{size}x{size}", "type": "image/png", "purpose": purpose}
        for size, purpose in ((192, "any"), (512, "any"), (512, "maskable"))
    ]
    answer = {
        "id": "/",
        "name": "RDMP " + _("Service platform"),
        "short_name": "RDMP",
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "theme_color": BLUE,
        "background_color": WHITE,
        "icons": icons,
    }
    return JsonResponse(answer, content_type="application/manifest+json")


@require_safe
@login_not_required
@cache_control(no_cache=True)
def service_worker(request: HttpRequest) -> HttpResponse:
    """At the root, because a worker serves what lies below its own address."""
    return render(request, "webapp/service-worker.js", content_type="text/javascript")


@require_safe
@login_not_required
def offline(request: HttpRequest) -> HttpResponse:
    return render(request, "webapp/offline.html")
