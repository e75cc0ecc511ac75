"""What leads people to resources, read once for many of both: their grants, by name or by group, and their reach.

A grant alone is not enough: whoever was shut out, works for the customer no more, or was let to a resource that is
retired gets nothing by it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cached_property

from django.db.models import Q

from accounts.models import Assignment, Role, User
from accounts.permissions import administers, can_write
from assets.models import Asset
from bastion.access import FULL, Terms
from bastion.models import Grant, GroupAsset
from bastion.permissions import works_for

log = logging.getLogger(__name__)


class Rights:
    """Of these people on these resources, as things are now. Four queries, however many there are."""

    def __init__(self, people: Iterable[User], assets: Iterable[Asset], *, now: datetime) -> None:
        self._people = {person.pk: person for person in people}
        self._assets = {asset.pk: asset for asset in assets}
        self._now = now

    def terms(self, person: User, asset: Asset) -> list[Terms]:
        """What is judged: nothing for somebody out of reach, everything for whoever administers the customer's."""
        if not self.is_in_reach(person, asset):
            return []
        if administers(person, asset.customer_id):
            return [FULL]
        return readable(self.grants(person, asset))

    def grants(self, person: User, asset: Asset) -> list[Grant]:
        """Those that hold or will, windows apart."""
        by_name = self._by_asset.get((person.pk, asset.pk), [])
        groups = self._groups_of.get(asset.pk, set())
        return [*by_name, *(one for one in self._by_group.get(person.pk, []) if one.group_id in groups)]

    def is_in_reach(self, person: User, asset: Asset) -> bool:
        if not person.is_active or not can_write(person):
            return False
        if asset.retired_at is not None or not works_for(person, asset.customer):
            return False
        return person.role != Role.ENGINEER or (person.pk, asset.customer_id) in self._assigned

    @cached_property
    def _assigned(self) -> Collection[tuple[int, int]]:
        engineers = [person.pk for person in self._people.values() if person.role == Role.ENGINEER]
        return set(Assignment.objects.filter(user__in=engineers).values_list("user_id", "customer_id"))

    @cached_property
    def _grants(self) -> list[Grant]:
        customers = {asset.customer_id for asset in self._assets.values()}
        rows = Grant.objects.in_force(self._now).filter(person__in=list(self._people), customer__in=customers)
        groups = Q(group__isnull=False, group__retired_at=None)
        return list(rows.filter(Q(asset__in=list(self._assets)) | groups).select_related("group"))

    @cached_property
    def _by_asset(self) -> dict[tuple[int, int], list[Grant]]:
        found: dict[tuple[int, int], list[Grant]] = defaultdict(list)
        for grant in self._grants:
            if grant.asset_id is not None:
                found[grant.person_id, grant.asset_id].append(grant)
        return dict(found)

    @cached_property
    def _by_group(self) -> dict[int, list[Grant]]:
        found: dict[int, list[Grant]] = defaultdict(list)
        for grant in self._grants:
            if grant.group_id is not None:
                found[grant.person_id].append(grant)
        return dict(found)

    @cached_property
    def _groups_of(self) -> dict[int, set[int]]:
        groups = {grant.group_id for grant in self._grants if grant.group_id is not None}
        rows = GroupAsset.objects.filter(group__in=groups, asset__in=list(self._assets))
        found: dict[int, set[int]] = defaultdict(set)
        for asset_id, group_id in rows.values_list("asset_id", "group_id"):
            found[asset_id].add(group_id)
        return dict(found)


def readable(grants: Iterable[Grant]) -> list[Terms]:
    """Their terms. One that nobody can read lets nobody in, and leaves the others as they are."""
    found = []
    for grant in grants:
        try:
            found.append(grant.terms)
        except (ValueError, KeyError, TypeError):
            log.exception("grant %s cannot be read", grant.pk)
    return found
