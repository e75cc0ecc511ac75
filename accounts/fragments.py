"""Parts of a page: what htmx asks for and puts into the page that is there."""

from django.http import HttpRequest


def is_fragment(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))
