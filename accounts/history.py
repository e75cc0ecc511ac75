"""What was changed when by whom, read from the history tables for people (contract, SLA table, contacts)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _

SHOWN = 50


@dataclass(frozen=True)
class Line:
    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Change:
    """One saved change of one object; `lines` is empty when the object was made or removed."""

    at: datetime
    who: str
    what: str
    reason: str
    kind: str
    lines: tuple[Line, ...]


def of(*objects: models.Model) -> list[Change]:
    """The changes of some objects together, latest first, at most `SHOWN`."""
    found = [change for obj in objects for change in _changes(obj)]
    return sorted(found, key=lambda change: change.at, reverse=True)[:SHOWN]


def _changes(obj: models.Model) -> Iterator[Change]:
    manager: Any = obj.history  # type: ignore[attr-defined]  # django-simple-history adds it, untyped
    records: Sequence[Any] = list(
        manager.select_related("history_user").order_by("-history_date", "-history_id")[: SHOWN + 1]
    )
    fields = [field for field in obj._meta.concrete_fields if not field.primary_key and field.name != "customer"]
    for newer, older in pairwise([*records, None]):
        if newer is None:
            continue
        lines = () if older is None else tuple(_lines(fields, older, newer))
        if older is not None and not lines and newer.history_type == "~":
            continue
        yield Change(
            at=newer.history_date,
            who=str(newer.history_user or _("System")),
            what=str(obj),
            reason=newer.history_change_reason or "",
            kind={"+": _("created"), "~": _("changed"), "-": _("removed")}[newer.history_type],
            lines=lines,
        )


def _lines(fields: "Sequence[models.Field[Any, Any]]", older: Any, newer: Any) -> Iterator[Line]:
    for field in fields:
        before, after = getattr(older, field.attname), getattr(newer, field.attname)
        if before != after:
            yield Line(str(field.verbose_name), _shown(field, before), _shown(field, after))


def _shown(field: "models.Field[Any, Any]", value: object) -> str:
    if value is None or value == "":
        return "—"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M}"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "—"
    choices = dict(field.flatchoices) if field.choices else {}
    return str(choices.get(value, value))
