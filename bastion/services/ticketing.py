"""One-time tickets: for somebody who is signed in here, a name for one connection with an SSH client of their own."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import User
from accounts.permissions import can_write
from accounts.services import entering
from assets.models import Asset
from bastion.access import Protocol
from bastion.models import LoginTicket
from bastion.services import authorising, signing_in


@transaction.atomic
def make(
    *, person: User, asset: Asset, account: str, work: str, address: str, now: datetime
) -> tuple[LoginTicket, str]:
    """A ticket, and its text, which nobody can read again. Good once, for five minutes, from this address.

    It opens nothing that the person could not open without it: who may do what is asked again when it is used. The text
    as a whole is the secret, with the word by which the node knows it for a ticket (`ssh.names`).
    """
    if not can_write(person):
        raise PermissionDenied
    if entering.needs_key_and_code(person):
        raise DomainError(
            _("You sign in with key and one-time code: tickets open nothing for you."), code="key_and_code"
        )
    known = authorising.accounts_of(person, asset, protocol=Protocol.SSH, now=now)
    if account not in {row.username for row in known}:
        decision = authorising.decide(person, asset, account=account, protocol=Protocol.SSH, now=now)
        words = authorising.DENIED[decision.denial] if decision.denial else _("There is no such account.")
        raise DomainError(str(words), code=decision.denial or "unknown_account")
    authorising.work_of(person, asset, work)
    ticket = f"ticket-{secrets.token_urlsafe(24)}"
    with scope.platform("a ticket of the provider's people belongs to no customer"):
        made = LoginTicket.objects.create(
            customer=person.customer,
            digest=signing_in.digest_of(ticket),
            person=person,
            asset=asset,
            account=account,
            work=work[:300],
            address=address,
            made_at=now,
            sign_in_epoch=person.sign_in_epoch,
        )
    detail = {"account": account, "work": work[:300], "address": address}
    audit.record(action="bastion.ticket", actor=person, customer=asset.customer, obj=asset, detail=detail, now=now)
    return made, ticket
