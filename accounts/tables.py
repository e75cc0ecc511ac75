"""Lists that people sort, filter, search, page and export, driven by the address alone.

Whatever stands in the address is harmless: an unknown column, a page past the end or a value that does not fit the
field is ignored, never an error.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Generic, TypeVar

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import F, Min, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import OrderBy
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone
from django.utils.functional import Promise

M = TypeVar("M", bound=Model)
R = TypeVar("R")
SIZE = 50
COUNTED = 10_000
"""Of more rows a list says "more than so many": nobody pages that far, and counting would take longer than showing."""
FOUND = 1_000
"""The same of a search, for which each row has to be read."""
EXPORT_LIMIT = 50_000
# A cell that starts with one of these is a formula to a spreadsheet (OWASP, "CSV Injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

SortBy = str | Sequence[str]
Text = str | Promise


@dataclass(frozen=True)
class Choice:
    """A filter that people pick from a list: only the options offered are obeyed."""

    label: Text
    options: Sequence[tuple[object, Text]]
    lookup: str | Callable[[str], Q]


Filter = str | Choice


@dataclass(frozen=True)
class ShownChoice:
    """A `Choice` as the filter bar draws it."""

    name: str
    label: Text
    options: tuple[tuple[str, Text], ...]
    value: str


@dataclass(frozen=True)
class Page(Generic[M]):
    rows: list[M]
    total: int
    has_more: bool
    """There are more than `total`, which are as many as were counted."""
    number: int
    pages: int
    size: int
    query: str
    sort: str
    descending: bool
    filters: Mapping[str, str]
    choices: tuple[ShownChoice, ...]
    path: str
    exports: bool
    params: QueryDict = field(repr=False)
    queryset: QuerySet[M] = field(repr=False)

    def all(self) -> QuerySet[M]:
        """Every row that the filters leave, in the order shown: what an export takes."""
        return self.queryset

    @property
    def first(self) -> int:
        return (self.number - 1) * self.size + 1 if self.total else 0

    @property
    def last(self) -> int:
        return min(self.number * self.size, self.total)

    @property
    def total_text(self) -> str:
        return f"{self.total}+" if self.has_more else str(self.total)

    @property
    def previous(self) -> int:
        return max(1, self.number - 1)

    @property
    def next(self) -> int:
        return min(self.pages, self.number + 1)

    @property
    def sort_text(self) -> str:
        """What the `sort` parameter says, empty while nobody chose an order."""
        return self.params.get("sort", "") and f"{'-' if self.descending else ''}{self.sort}"

    @property
    def is_filtered(self) -> bool:
        return bool(self.query or self.filters)

    @property
    def shown_numbers(self) -> list[int | None]:
        """Page numbers to offer; None is a gap."""
        wanted = sorted({1, self.pages, *range(max(1, self.number - 2), min(self.pages, self.number + 2) + 1)})
        shown: list[int | None] = []
        for number in wanted:
            if shown and (shown[-1] or 0) + 1 < number:
                shown.append(None)
            shown.append(number)
        return shown

    def url(self, **changes: object) -> str:
        """This list with some parameters changed; None takes one away."""
        params = self.params.copy()
        params.pop("export", None)
        for name, value in changes.items():
            params.pop(name, None)
            if value is not None:
                params[name] = str(value)
        return f"{self.path}?{params.urlencode()}" if params else self.path


def page(
    request: HttpRequest,
    queryset: QuerySet[M],
    *,
    sort: Mapping[str, SortBy],
    default: str,
    search: Sequence[str] = (),
    filters: Mapping[str, Filter] | None = None,
    size: int = SIZE,
    exports: bool = False,
) -> Page[M]:
    """One page of `queryset` as the address asks for it.

    `sort` maps the name in the address to one or more fields, `default` is such a name ("-opened" for descending),
    `search` are the fields that `?q=` looks into (every word must be in one of them), `filters` map a parameter to a
    field lookup or a `Choice`.
    """
    params = request.GET
    query = _clean(params.get("q", ""))[:100].strip()
    queryset = _searched(queryset, query, search)
    applied: dict[str, str] = {}
    choices: list[ShownChoice] = []
    for name, rule in (filters or {}).items():
        value = _clean(params.get(name, ""))
        if isinstance(rule, Choice):
            options = tuple((str(key), text) for key, text in rule.options)
            value = value if value in {key for key, _ in options} else ""
            choices.append(ShownChoice(name, rule.label, options, value))
        narrowed = _filtered(queryset, rule, value) if value else None
        if narrowed is not None:
            queryset, applied[name] = narrowed, value
    key, descending = _order(params.get("sort", ""), sort, default)
    queryset = queryset.order_by(*_order_by(queryset.model, sort[key], descending))
    most = FOUND if query else COUNTED
    keys = list(queryset.values_list("pk", flat=True)[: most + 1]) if query else None  # one look at all rows, not two
    found = len(keys) if keys is not None else queryset.order_by().values("pk")[: most + 1].count()
    total = min(found, most)
    pages = max(1, -(-total // size))
    number = min(max(1, _integer(params.get("page", "1"))), pages)
    shown = slice((number - 1) * size, min(number * size, total))
    return Page(
        rows=list(queryset[shown]) if keys is None else list(queryset.filter(pk__in=keys[shown])),
        total=total,
        has_more=found > most,
        number=number,
        pages=pages,
        size=size,
        query=query,
        sort=key,
        descending=descending,
        filters=applied,
        choices=tuple(choices),
        path=request.path,
        exports=exports,
        params=params,
        queryset=queryset,
    )


def wants_csv(request: HttpRequest) -> bool:
    return request.GET.get("export") == "csv"


def export_csv(rows: Iterable[R], columns: Mapping[str, Callable[[R], object]], filename: str) -> HttpResponse:
    """The rows as a CSV file that spreadsheets open in Chinese (byte order mark) and never take for formulas.

    At most `EXPORT_LIMIT` rows; a last line says so when there were more.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([cell(name) for name in columns])
    for count, row in enumerate(_walk(rows)):
        if count == EXPORT_LIMIT:
            writer.writerow([f"… {EXPORT_LIMIT}+"])
            break
        writer.writerow([cell(read(row)) for read in columns.values()])
    stamp = timezone.localtime().strftime("%Y%m%d-%H%M")
    response = HttpResponse("\ufeff" + buffer.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{filename}-{stamp}.csv"'
    return response


def cell(value: object) -> str | int | float:
    """One value as a spreadsheet may see it: text that would be read as a formula gets an apostrophe in front."""
    match value:
        case None | bool():
            return "" if value is None else str(int(value))
        case int() | float():
            return value
        case Decimal():
            return f"{value:f}"
        case datetime():
            return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S")
        case date():
            return value.isoformat()
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _walk(rows: Iterable[R]) -> Iterator[R]:
    return rows.iterator(chunk_size=2000) if isinstance(rows, QuerySet) else iter(rows)


def _clean(text: str) -> str:
    """PostgreSQL refuses NUL in text."""
    return text.replace("\x00", "")


def _integer(text: str) -> int:
    try:
        return int(text[:12])
    except ValueError:
        return 1


def _searched(queryset: QuerySet[M], query: str, fields: Sequence[str]) -> QuerySet[M]:
    if not fields:
        return queryset
    for word in query.split()[:8]:
        anywhere = Q()
        for name in fields:
            anywhere |= _of_row(queryset.model, name, Q(**{f"{name}__icontains": word}))
        queryset = queryset.filter(anywhere)
    return queryset


def _filtered(queryset: QuerySet[M], rule: Filter, value: str) -> QuerySet[M] | None:
    """The narrowed rows, or None when the value does not fit the field."""
    lookup = rule.lookup if isinstance(rule, Choice) else rule
    try:
        said = lookup(value) if callable(lookup) else _of_row(queryset.model, lookup, Q(**{lookup: value}))
        return queryset.filter(said)
    except (ValueError, TypeError, ValidationError):
        return None


def _order(asked: str, sort: Mapping[str, SortBy], default: str) -> tuple[str, bool]:
    text = asked if asked.removeprefix("-") in sort else default
    return text.removeprefix("-"), text.startswith("-")


def _order_by(model: type[Model], fields: SortBy, descending: bool) -> list[OrderBy]:
    """What may be empty comes last either way; what never is stays without that wish, which no usual index grants."""
    names = [fields] if isinstance(fields, str) else list(fields)
    orders = []
    for name in [*names, "pk"]:
        down = name.startswith("-") != descending
        path = name.removeprefix("-")
        nulls_last = True if _may_be_empty(model, path) else None
        by = _least(model, path) if _has_many(model, path) else F(path)
        orders.append(by.desc(nulls_last=nulls_last) if down else by.asc(nulls_last=nulls_last))
    return orders


def _of_row(model: type[Model], path: str, said: Q) -> Q:
    """Where a row has many of what a path leads to, it is one row all the same, however many of them fit: a join would
    show, count and export it as often."""
    return Q(pk__in=model._default_manager.filter(said).values("pk")) if _has_many(model, path) else said


def _least(model: type[Model], path: str) -> Subquery:
    """The first of many, to sort by."""
    rows = model._default_manager.filter(pk=OuterRef("pk")).order_by().values("pk")
    return Subquery(rows.annotate(least_of_many=Min(path)).values("least_of_many"))


def _has_many(model: type[Model], path: str) -> bool:
    """Whether a path crosses a relation to many rows; what is no field of the model does not."""
    at: type[Model] | None = model
    for name in path.split("__"):
        if at is None or name == "pk":
            return False
        try:
            field = at._meta.get_field(name)
        except FieldDoesNotExist:
            return False
        if field.many_to_many or field.one_to_many:
            return True
        at = field.related_model if isinstance(field.related_model, type) else None
    return False


def _may_be_empty(model: type[Model], path: str) -> bool:
    """Whether a field, reached over relations, can be NULL; what is no field of the model may be anything."""
    at: type[Model] | None = model
    for name in path.split("__"):
        if at is None or name == "pk":
            return False
        try:
            field = at._meta.get_field(name)
        except FieldDoesNotExist:
            return True
        if field.null:
            return True
        at = field.related_model if isinstance(field.related_model, type) else None
    return False
