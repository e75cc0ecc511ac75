"""Sessions that somebody has to let in: a grant may want that whoever looks after the resource says yes to each."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from bastion import messages
from bastion.access import Decision
from bastion.models import BastionSession, CommandReview
from bastion.models.rules import LOGIN

MOST_NAMES: Final = 3


def waits_for(session: BastionSession, decision: Decision) -> str:
    """Who has to let this session in, as the person reads it; empty: nobody.

    Nobody either where another session of theirs at the same account, from the same address, was let in and runs on:
    the files beside a terminal, or the second channel of a client.
    """
    if not decision.needs_consent:
        return ""
    beside = CommandReview.objects.filter(
        number=LOGIN,
        state=CommandReview.State.ALLOWED,
        session__person=session.person_id,
        session__asset=session.asset_id,
        session__account=session.account,
        session__client_address=session.client_address,
    )
    if beside.exclude(session__state=BastionSession.State.ENDED).exists():
        return ""
    names = [person.name for person in messages.who_decides(session.asset, but=session.person)]
    return ", ".join(names[:MOST_NAMES]) or _("an administrator")


def is_let_in(session: BastionSession) -> bool:
    reviews = CommandReview.objects.filter(session=session, number=LOGIN)
    return reviews.filter(state=CommandReview.State.ALLOWED).exists()
