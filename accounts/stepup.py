"""When a person last proved their second factor in this session, and the way to prove it once more."""

from datetime import UTC, datetime, timedelta

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from accounts import scope
from accounts.errors import DomainError
from accounts.permissions import person_of

FRESH = timedelta(minutes=5)
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""A recovery code lets somebody in; it does not open secrets."""


def proven_at(request: HttpRequest) -> datetime | None:
    """The last time a code or passkey was given in this session, at the sign-in or later."""
    records = get_authentication_records(request, person_of(request))
    moments = [record["at"] for record in records if record.get("method") == "mfa" and record.get("type") in FACTORS]
    return datetime.fromtimestamp(max(moments), tz=UTC) if moments else None


def is_fresh(proven: datetime | None, now: datetime) -> bool:
    return proven is not None and now - proven < FRESH


def prove_again(request: HttpRequest) -> HttpResponseRedirect:
    """To the page that asks for the code or passkey, and back here. Raises DomainError for whoever has neither."""
    with scope.platform("second factor"):
        types = set(Authenticator.objects.filter(user=person_of(request)).values_list("type", flat=True))
    if not types & set(FACTORS):
        raise DomainError(_("Set up a second factor first: an app that shows codes, or a passkey."), code="no_factor")
    name = "mfa_reauthenticate" if Authenticator.Type.TOTP in types else "mfa_reauthenticate_webauthn"
    return HttpResponseRedirect(f"{reverse(name)}?{urlencode({REDIRECT_FIELD_NAME: request.get_full_path()})}")
