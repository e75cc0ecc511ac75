"""One limiter for all that a stranger can try: passwords, one-time codes, invitations, API tokens.

django-allauth counts wrong passwords and codes as `login_failed` (`ACCOUNT_RATE_LIMITS`). What it does not know is
counted here under the same name, so that an address which fails in one way is soon held up in every other.
"""

from collections.abc import Iterable

from allauth.core.internal import ratelimit  # the public module lets every GET pass
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _

ALLAUTH = "allauth.account"
FAILURE = "login_failed"


def account(login: str) -> str:
    """The key under which failures to be somebody count, at whatever door: as `accounts.signin` gives it to allauth.

    A door that knows somebody by more than their address gives that address, so that no spelling counts by itself.
    """
    return f"account:{login.strip().lower()}"


def codes(person_id: int) -> str:
    """The key under which allauth counts somebody's wrong one-time codes (`allauth.mfa.base.internal.flows`)."""
    return f"mfa-auth-user-{person_id}"


def failed(request: HttpRequest, what: str) -> bool:
    """Count a failure of this address at `what`; True when it was one too many, to be answered with `too_many`."""
    key = f"{what}:{ratelimit.get_ip(request)}"
    return ratelimit.consume(request, app=ALLAUTH, action=FAILURE, key=key, limit_get=True) is None


def is_held_up(address: str, keys: Iterable[str]) -> bool:
    """Whether an address, or somebody under one of the keys, has failed too often: for doors that are no web page.

    An address that nobody vouches for is left empty: it counts under the keys alone.
    """
    return any(not _consume(address, key, dry_run=True) for key in keys)


def count_failure(address: str, keys: Iterable[str]) -> None:
    for key in keys:
        _consume(address, key)


def is_past(key: str, rates: str) -> bool:
    """Whether something that is no failure yet was tried more often than these rates (by key alone) allow."""
    return not _consume("", key, dry_run=True, rates=rates)


def count_try(key: str, rates: str) -> None:
    _consume("", key, rates=rates)


def _consume(address: str, key: str, *, dry_run: bool = False, rates: str = "") -> bool:
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = request.META["HTTP_X_FORWARDED_FOR"] = address
    if not rates and not address:
        rates = _by_key(settings.ACCOUNT_RATE_LIMITS[FAILURE])
    config = {FAILURE: rates} if rates else None
    used = ratelimit.consume(
        request, app=ALLAUTH, action=FAILURE, config=config, key=key, dry_run=dry_run, limit_get=True
    )
    return used is not None


def _by_key(rates: str) -> str:
    return ",".join(rate for rate in rates.split(",") if rate.strip().endswith("/key"))


def too_many(request: HttpRequest) -> HttpResponse:
    """429, as a page or as a problem of the API, with the time after which it is worth trying again."""
    if request.path.startswith("/api/"):
        detail = _("Too many wrong tokens came from this address. Please try again in some minutes.")
        problem = {"type": "urn:rdmp:throttled", "title": "throttled", "status": 429, "detail": detail}
        response: HttpResponse = JsonResponse(problem, status=429, content_type="application/problem+json")
    else:
        response = ratelimit.respond_429(request)
    rates = ratelimit.get_rates(app=ALLAUTH, action=FAILURE)
    response["Retry-After"] = str(int(max(rate.duration for rate in rates)))
    return response
