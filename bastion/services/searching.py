"""Search over the commands and files of all sessions that somebody may watch, fast among millions.

Row policies keep PostgreSQL from using an index whose operator is not leakproof, as that of arrays is not. So a
function of the database looks into the index as the owner of the table, within the scope that is in force, and answers
with numbers of rows; what is read of them is read under the policies as everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, TypeVar

from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from accounts.models import User
from accounts.permissions import is_administrator
from bastion.models import FileTransfer, SessionCommand
from bastion.permissions import looked_after
from bastion.trigrams import trigrams

M = TypeVar("M", bound=Model)
FEW: Final = 5_000
"""More than so many that have the letters are common: the newest of them are found without the index."""
MOST_WORDS: Final = 8


@dataclass(frozen=True)
class _Look:
    function: str
    field: str


COMMANDS: Final = _Look("bastion_commands_with", "text")
FILES: Final = _Look("bastion_files_with", "path")


def commands(person: User, query: str = "") -> QuerySet[SessionCommand]:
    """What somebody may read of others, and their own, that has every word of the query. Within their scope.

    One's own is what went through one's own sessions, whoever entered it there.
    """
    rows = SessionCommand.objects.filter(_seen(person, "session__person", "asset"))
    return _having(rows, query, COMMANDS)


def files(person: User, query: str = "") -> QuerySet[FileTransfer]:
    rows = FileTransfer.objects.filter(_seen(person, "session__person", "session__asset"))
    digest = query.strip().lower()
    if len(digest) == 64 and all(char in "0123456789abcdef" for char in digest):
        return rows.filter(sha256=digest)
    return _having(rows, query, FILES)


def since(text: str) -> datetime | None:
    """A day or a moment as an address names it."""
    return _moment(text, timedelta(0))


def until(text: str) -> datetime | None:
    """The end of that day, or that moment."""
    return _moment(text, timedelta(days=1))


def _moment(text: str, of_a_day: timedelta) -> datetime | None:
    try:
        day: date | None = parse_date(text)
        moment = datetime.combine(day, time()) + of_a_day if day is not None else parse_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment is None:
        return None
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def _seen(person: User, person_field: str, asset_field: str) -> Q:
    """As `authorising.watchable`, of rows that name person and asset themselves."""
    if is_administrator(person):
        return Q()
    return Q(**{person_field: person}) | Q(**{f"{asset_field}__in": looked_after(person).values("asset")})


def _having(rows: QuerySet[M], query: str, look: _Look) -> QuerySet[M]:
    words = query.replace("\0", "").split()[:MOST_WORDS]
    for word in words:
        rows = rows.filter(**{f"{look.field}__icontains": word})
    grams = sorted({gram for word in words for gram in trigrams(word)})
    if grams and (few := _few(grams, look)) is not None:
        return rows.filter(pk__in=few)
    return rows


def _few(grams: list[str], look: _Look) -> list[int] | None:
    """The rows that have all of these letters; None when there are many."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {look.function}(%s::varchar[], %s)", [grams, FEW + 1])  # noqa: S608 - one of two names
        found = [pk for (pk,) in cursor.fetchall()]
    return found if len(found) <= FEW else None
