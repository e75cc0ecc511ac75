"""Who can reach this server and how; what can this person reach and how: grants as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from accounts.forms.calendars import WEEKDAYS
from accounts.models import User
from accounts.permissions import administers
from accounts.services.people import administrators
from accounts.windows import Weekly, from_json
from assets.models import Asset, Credential
from bastion.access import OWN, Terms
from bastion.models import Grant
from bastion.services import authorising
from bastion.services.rights import Rights, readable


@dataclass(frozen=True, slots=True)
class Way:
    """By a grant; without one, because the person administers the customer's servers."""

    grant: Grant | None
    accounts: list[str]
    holds: bool
    """At this moment."""


@dataclass(frozen=True, slots=True)
class Reach:
    """One person on one resource."""

    person: User
    asset: Asset
    ways: list[Way]
    is_in_reach: bool
    """False: there is a grant, and the person was shut out or works for the customer no more."""

    @property
    def is_open(self) -> bool:
        return self.is_in_reach and any(way.holds and way.accounts for way in self.ways)


def who_reaches(asset: Asset, *, now: datetime) -> list[Reach]:
    """Whoever is let to it now or later, those who can get in at this moment first."""
    grants = Grant.objects.in_force(now).filter(customer=asset.customer_id).leading_to(asset).select_related("person")
    people = {grant.person_id: grant.person for grant in grants}
    people |= {person.pk: person for person in administrators(asset.customer_id)}
    rights = Rights(people.values(), [asset], now=now)
    known = {side: authorising.known_accounts(one, [asset]) for side, one in _one_of_each_side(people.values())}
    found = [_reach(rights, person, asset, known[person.is_provider][asset.pk], now) for person in people.values()]
    return sorted(found, key=lambda one: (not one.is_open, one.person.name))


def how(person: User, assets: Iterable[Asset], *, now: datetime) -> list[Reach]:
    assets = list(assets)
    rights, known = Rights([person], assets, now=now), authorising.known_accounts(person, assets)
    return [_reach(rights, person, asset, known[asset.pk], now) for asset in assets]


def weekly_lines(grant: Grant) -> list[str]:
    """A line for each weekly window: on which days, from when to when."""
    try:
        windows = from_json(grant.windows, grant.timezone)
    except (ValueError, KeyError, TypeError):
        return [_("unreadable: it lets nobody in")]
    return [
        f"{_and(str(WEEKDAYS[day]) for day in sorted(one.days))} {one.start:%H:%M} – {one.end:%H:%M}"
        for one in windows
        if isinstance(one, Weekly)
    ]


def _and(names: Iterable[str]) -> str:
    return _(", ").join(names)


def _one_of_each_side(people: Iterable[User]) -> Iterable[tuple[bool, User]]:
    """Accounts are known to a side, not to a person."""
    return {person.is_provider: person for person in people}.items()


def _reach(rights: Rights, person: User, asset: Asset, known: Iterable[Credential], now: datetime) -> Reach:
    names = list(dict.fromkeys(row.username for row in known))
    in_reach = rights.is_in_reach(person, asset)
    if administers(person, asset.customer_id):
        return Reach(person, asset, [Way(None, names, holds=True)], in_reach)
    ways = [
        Way(grant, _of(terms, names), terms.holds(now)) for grant, terms in _with_terms(rights.grants(person, asset))
    ]
    return Reach(person, asset, ways, in_reach)


def _with_terms(grants: Iterable[Grant]) -> list[tuple[Grant, Terms]]:
    return [(grant, terms) for grant in grants for terms in readable([grant])]


def _of(terms: Terms, names: Iterable[str]) -> list[str]:
    return [name for name in (*names, OWN) if terms.is_for(name)]
