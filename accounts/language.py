"""Which language a person reads: the switch of this browser, then their profile, then Chinese.

Not the browser's own wish, as Django's LocaleMiddleware would have it: the customers are Chinese companies, whose
browsers often say "en". Programs ask by Accept-Language.
"""

from collections.abc import Callable, Mapping

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import translation
from django.utils.translation import get_language_from_request

from accounts.models import User

GetResponse = Callable[[HttpRequest], HttpResponseBase]
API_PATHS = "/api/"


class LanguageMiddleware:
    """Comes after the scope, because it looks at who is there."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        language = _language_of(request)
        with translation.override(language):
            request.LANGUAGE_CODE = language
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        return response


def _language_of(request: HttpRequest) -> str:
    if request.path.startswith(API_PATHS):
        return get_language_from_request(request)
    return language_of(request.COOKIES, request.user if isinstance(request.user, User) else None)


def language_of(cookies: Mapping[str, str], person: User | None) -> str:
    """Of a page or a socket."""
    known = dict(settings.LANGUAGES)
    chosen = cookies.get(settings.LANGUAGE_COOKIE_NAME, "")
    if chosen in known:
        return chosen
    return person.language if person is not None and person.language in known else settings.LANGUAGE_CODE
