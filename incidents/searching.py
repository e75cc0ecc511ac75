"""Finding incidents by words: in title and description, by the names of assets and customers, by number."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Final

from django.db.models import Q, Value
from django.db.models.functions import StrIndex
from django.db.models.lookups import GreaterThan

from accounts.models import Customer
from assets.models import Asset
from incidents.models import IncidentAsset, IncidentQuerySet

WORDS: Final = 8
NUMBER: Final = re.compile(r"inc-(\d{1,14})", re.ASCII)


def holding(rows: IncidentQuerySet, query: str) -> IncidentQuerySet:
    """Rows that hold every word of the query; `INC-000123` is that incident and no other.

    Names are looked up first: there are few of them, and the many incidents are compared by key with what was found.
    """
    words = []
    for word in query.replace("\x00", "").lower().split()[:WORDS]:
        if number := NUMBER.fullmatch(word):
            rows = rows.filter(pk=int(number[1]))
        else:
            words.append(word)
    if not words:
        return rows
    customers = _named(Customer.objects.filter(_in_name(words)).values_list("pk", "name"), words)
    assets = _named(Asset.objects.filter(_in_name(words)).values_list("pk", "name"), words)
    for word in words:
        # not LIKE, of which PostgreSQL believes that next to nothing fits: it would read and sort all incidents
        # where the newest thousand that fit are soon found in their order
        anywhere = Q(GreaterThan(StrIndex("searched", Value(word)), 0))
        if customers[word]:
            anywhere |= Q(customer_id__in=customers[word])
        if assets[word]:
            anywhere |= Q(pk__in=IncidentAsset.objects.filter(asset_id__in=assets[word]).values("incident_id"))
        if word.isdecimal() and len(word) < 15:
            anywhere |= Q(pk=int(word))
        rows = rows.filter(anywhere)
    return rows


def _in_name(words: Sequence[str]) -> Q:
    return reduce(or_, (Q(name__icontains=word) for word in words))


def _named(rows: Iterable[tuple[int, str]], words: Sequence[str]) -> Mapping[str, list[int]]:
    """For each word the keys of those whose name has it."""
    names = [(pk, name.lower()) for pk, name in rows]
    return {word: [pk for pk, name in names if word in name] for word in words}
