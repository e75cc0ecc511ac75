"""Signing in at a node: by SSH key, by password and code, by a ticket. One limiter with the portal's own sign-in."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import check_password, make_password
from django.core import signing
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, limiter, scope
from accounts.errors import DomainError
from accounts.models import User
from accounts.services import entering
from bastion.gateway.contract import Client, Language, Person
from bastion.models import LoginTicket, Node, SshKey
from bastion.services.ssh_keys import fingerprint

SALT: Final = "bastion.login"
LOGIN_LIFE_S: Final = 12 * 3600
WHAT: Final = "bastion"
MOST_OFFERED: Final = "600/5m/key"
"""Keys that nobody here has, from one address: clients offer all that they hold, at every connection."""
NOBODY: Final = make_password(secrets.token_hex(16))
"""Checked when there is no such person, so that the answer takes as long."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody for whom a node speaks. `key`: the fingerprint of the SSH key they came with, empty for other ways."""

    person: User
    key: str = ""


def is_known_key(*, node: Node, login: str, public_key: str, client: Client) -> bool:
    """Whether it is worth proving to have this key: the proof itself is the SSH protocol's. Raises DomainError."""
    _not_too_often(node, client)
    offers = f"{_what(node)}:offers:{client.address}"
    if limiter.is_past(offers, MOST_OFFERED):
        raise _too_often()
    is_known = _key_of(node, login, public_key) is not None
    if not is_known:
        limiter.count_try(offers, MOST_OFFERED)
    return is_known


def by_key(*, node: Node, login: str, public_key: str, client: Client, now: datetime, code: str = "") -> SshKey:
    """Of whoever has proven to the node to have the key. Raises DomainError("refused"), and "code_needed" where the
    rules of entry want a one-time code as well and there is none yet."""
    _not_too_often(node, client, login if code else "")
    key = _key_of(node, login, public_key)
    if key is None or not _is_from_where_they_may(key.person, client, now):
        raise _refused(node, client)
    if entering.needs_key_and_code(key.person):
        if not code:
            raise DomainError(_("Please give your one-time code as well."), code="code_needed")
        if not _proves(key.person, code):
            raise _refused(node, client, login, code_of=key.person)
    key.used_at, key.used_from = now, client.address
    key.save(update_fields=["used_at", "used_from"])
    _welcomed(key.person, "key and code" if code else "key", client, now)
    return key


def by_password(*, node: Node, login: str, password: str, code: str, client: Client, now: datetime) -> User:
    """Password and code of the second factor together. Raises DomainError("refused"), whatever was wrong."""
    _not_too_often(node, client, login)
    person = _person(login)
    is_right = check_password(password, NOBODY if person is None else person.password)
    if person is None or not _serves(node, person) or not is_right or not _may_without_key(person, client, now):
        raise _refused(node, client, login)
    if not _proves(person, code):
        raise _refused(node, client, login, code_of=person)
    return _welcomed(person, "password", client, now)


def by_ticket(*, node: Node, ticket: str, client: Client, now: datetime) -> LoginTicket:
    """Raises DomainError("refused") for one that is unknown, used, old, or came from another address or to a node that
    does not serve its resource."""
    _not_too_often(node, client)
    found = _spent(ticket, node, client, now)
    if found is None or not _may_without_key(found.person, client, now):
        raise _refused(node, client)
    _welcomed(found.person, "ticket", client, now)
    return found


@transaction.atomic
def _spent(ticket: str, node: Node, client: Client, now: datetime) -> LoginTicket | None:
    """It is good for nothing from now on; None: it was not before either."""
    rows = LoginTicket.objects.select_for_update(of=("self",)).select_related("person__customer", "asset__customer")
    found: LoginTicket | None = rows.filter(digest=digest_of(ticket)).first()
    is_good = found is not None and found.is_good(client.address, now) and found.person.is_active
    if found is None or not is_good or found.sign_in_epoch != found.person.sign_in_epoch:
        return None
    if node.customer_id not in (None, found.asset.customer_id):
        return None
    if not _serves(node, found.person):
        return None
    found.used_at = now
    found.save(update_fields=["used_at"])
    return found


def token_for(person: User, node: Node, key: SshKey | None = None) -> str:
    """By which the node speaks for somebody who has signed in there: good at this node alone, for half a day, and no
    longer than the key they came with or until they are signed out everywhere."""
    said = {"person": person.pk, "node": node.pk, "epoch": person.sign_in_epoch, "key": 0 if key is None else key.pk}
    return signing.dumps(said, salt=SALT)


def as_person(person: User, node: Node, *, language: str = "", key: SshKey | None = None) -> Person:
    """Somebody who has signed in, as this node knows them. `language`: of the page they look at, else their own."""
    spoken = Language.EN if (language or person.language or "").startswith("en") else Language.ZH
    return Person(person.pk, person.name, spoken, token_for(person, node, key), says_work=person.is_provider)


def person_of(token: str, node: Node) -> User:
    """Raises DomainError("refused")."""
    return signed_in(token, node).person


def signed_in(token: str, node: Node) -> SignedIn:
    """Raises DomainError("refused")."""
    try:
        said = signing.loads(token, salt=SALT, max_age=LOGIN_LIFE_S)
    except signing.BadSignature:
        said = {}
    person = None
    if said.get("node") == node.pk:
        alive = User.objects.select_related("customer").filter(is_active=True, sign_in_epoch=said.get("epoch", -1))
        person = alive.filter(pk=said.get("person")).first()
    key = None
    if person is not None and said.get("key"):
        key = SshKey.objects.filter(pk=said["key"], person=person).first()
    if person is None or not _serves(node, person) or (said.get("key") and key is None):
        raise DomainError(_("Please sign in again."), code="refused")
    return SignedIn(person, "" if key is None else key.fingerprint)


def _serves(node: Node, person: User) -> bool:
    """A customer's own node signs in nobody who has nothing to do with that customer."""
    return node.customer_id is None or scope.of(person).allows(node.customer_id)


def _key_of(node: Node, login: str, public_key: str) -> SshKey | None:
    rows = SshKey.objects.select_related("person__customer").filter(fingerprint=fingerprint(public_key))
    key: SshKey | None = rows.filter(person__is_active=True).first()
    person = _person(login)
    if key is None or person is None or key.person_id != person.pk or not _serves(node, person):
        return None
    return key


def _person(login: str) -> User | None:
    """By e-mail address, or by what stands before its @ where that is one person's alone."""
    login = login.strip()
    active = User.objects.select_related("customer").filter(is_active=True)
    if "@" in login:
        return active.filter(email__iexact=login).first()
    found = list(active.filter(email__istartswith=f"{login}@")[:2]) if login else []
    return found[0] if len(found) == 1 else None


def _may_without_key(person: User, client: Client, now: datetime) -> bool:
    return not entering.needs_key_and_code(person) and _is_from_where_they_may(person, client, now)


def _is_from_where_they_may(person: User, client: Client, now: datetime) -> bool:
    if entering.may_enter(person, client.address):
        return True
    entering.note_refused(person=person, address=client.address, door="bastion", now=now)
    return False


def _proves(person: User, code: str) -> bool:
    """A code of the app, each of them once. Somebody without one signs in by key or ticket."""
    factor = Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).first()
    return factor is not None and factor.wrap().validate_code(code)


def _welcomed(person: User, by: str, client: Client, now: datetime) -> User:
    detail = {"by": by, "address": client.address, "software": client.software[:120]}
    audit.record(action="bastion.sign_in", actor=person, customer=person.customer, obj=person, detail=detail, now=now)
    return person


def _not_too_often(node: Node, client: Client, login: str = "") -> None:
    keys = _keys(node, client, login)
    if login:
        keys |= _shared(_person(login), login)
    if limiter.is_held_up(_address(node, client), keys):
        raise _too_often()


def _too_often() -> DomainError:
    return DomainError(_("Too many wrong attempts came from here. Please try again in some minutes."), code="often")


def _refused(node: Node, client: Client, login: str = "", *, code_of: User | None = None) -> DomainError:
    limiter.count_failure(_address(node, client), _keys(node, client, login))
    if code_of is not None and node.customer_id is None:
        limiter.count_failure("", [limiter.codes(code_of.pk)])
    return DomainError(_("Sign-in refused."), code="refused")


def _address(node: Node, client: Client) -> str:
    """What a customer's node says of addresses holds up nobody elsewhere."""
    return client.address if node.customer_id is None else ""


def _keys(node: Node, client: Client, login: str) -> set[str]:
    """What counts: the place, and whom somebody says to be, with the portal's own sign-in. A customer's node counts by
    itself: it may say what it likes."""
    place = f"{_what(node)}:{client.address}"
    if not login:
        return {place}
    account = _account(_person(login), login)
    return {place, account if node.customer_id is None else f"{_what(node)}:{account}"}


def _what(node: Node) -> str:
    return WHAT if node.customer_id is None else f"{WHAT}:{node.pk}"


def _shared(person: User | None, login: str) -> set[str]:
    """What has failed at the portal's own pages holds up here, at every node."""
    return {_account(person, login), *(() if person is None else (limiter.codes(person.pk),))}


def _account(person: User | None, login: str) -> str:
    """However somebody is called, they are one account."""
    return limiter.account(login if person is None else person.email)


def digest_of(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
