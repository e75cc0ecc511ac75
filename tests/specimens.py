"""A specimen of every tenant-owned model for one customer, made from the models themselves.

A new model gets one without anybody writing it. Texts hold a mark that says where it stands, so that a page that shows
it to the wrong person is caught and names the column. Every specimen of a customer has the same primary key: an address
with `<int:pk>` finds the customer's object whatever kind it wants.
"""

import random
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, Final, TypeAlias

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import SearchVectorField
from django.core.exceptions import ValidationError
from django.db import models
from simple_history.models import HistoricalChanges

from accounts import row_security, scope
from accounts.models import Customer, User
from tests.conftest import NOW

Model: TypeAlias = type[models.Model]
Field: TypeAlias = "models.Field[Any, Any]"

MEANINGFUL: Final[dict[str, object]] = {
    "rule_id": "ecs-cpu-util",
    "metric": "ecs.cpu.util",
    "labels": "",
    "timezone": "Asia/Shanghai",
    "language": "zh-hans",
    "week": [["09:00-18:00"]] * 5 + [[], []],
    "workday_hours": ["09:00-18:00"],
    "severity": 2,
    "topics": ["incident", "alert"],
    "email_topics": ["incident"],
    "push_topics": ["incident"],
    "contacts": ["primary"],
    "mediums": ["push"],
    "repeat_minutes": 15,
    "people": [],
    "customers": [],
    "roles": ["customer_pm"],
    "products": [],
    "task": "incidents.warn_clock",
    "port": 443,
    "period_s": 60,
    "times": 3,
    "sync_minutes": 30,
    "data": {},
    "condition": {},
}
"""Columns whose text is read by the program rather than by people: a mark there would break the page, not test it."""

PARTICULAR: Final[dict[str, object]] = {
    "accounts.Secret.key_id": "t1",
    "assets.Asset.kind": "server",
    "monitoring.Silence.windows": [{"from": "2026-03-02T02:00:00+00:00", "to": "2026-03-02T04:00:00+00:00"}],
    "assets.Asset.cloud_account": None,
    "monitoring.Target.kind": "http",
    "monitoring.Target.cloud_account": None,
    "monitoring.Target.config": {"url": "https://www.example.com/"},
    "monitoring.Dashboard.widgets": [
        {"id": "list", "kind": "health", "x": 0, "y": 0, "w": 6, "h": 3},
        {
            "id": "graph",
            "kind": "compare",
            "x": 6,
            "y": 0,
            "w": 6,
            "h": 3,
            "assets": [770_001],
            "metric": "ecs.cpu.util",
        },
    ],
    "reports.AccidentIssue.content": {
        "number": "ACC-1",
        "issue": 1,
        "language": "zh-hans",
        "customer": "",
        "provider": "",
        "incident": {"number": "INC-1", "title": "", "severity": ""},
        "outage": {"started_at": "2026-03-02T02:00:00+00:00", "ended_at": "2026-03-02T03:00:00+00:00"},
        "author": "",
        "reason": "",
        "parts": {},
        "timeline": [],
    },
    "reports.ServiceReport.period": "2026-02",
    "reports.ServiceReport.starts_at": NOW - timedelta(days=28),
    "reports.ServiceReport.figures": {"parts": []},
    "reports.ServiceReport.layout": {"parts": [], "accent": "", "logo": ""},
    "reports.ServiceReport.wishes": {},
    "reports.ServiceReport.figures_at": NOW,
    "reports.ServiceIssue.content": {
        "number": "REP-1",
        "issue": 1,
        "language": "zh-hans",
        "customer": "",
        "provider": "",
        "author": "",
        "reason": "",
        "kind": "monthly",
        "title": "",
        "period": "2026-02",
        "starts_at": "2026-02-01T00:00:00+08:00",
        "ends_at": "2026-03-01T00:00:00+08:00",
        "figures_at": "2026-03-02T02:00:00+00:00",
        "layout": {"parts": [], "accent": "", "logo": ""},
        "parts": [],
    },
    "reports.ReportPlan.accent": "#0b5fa5",
    "reports.ReportPlan.logo": "",
    "costs.Statement.month": NOW.date().replace(month=2, day=1),  # the lines of the bill are of a month still open
    "costs.StatementLine.cloud_cost": 1,
    "costs.StatementLine.markup": 0,
    "costs.StatementLine.amount": 1,
    "costs.SavingProposal.facts": {},
    "changes.Change.operation": "linux-kernel",
    "changes.Change.fields": {},
    "changes.ChangeTemplate.operation": "linux-kernel",
    "changes.ChangeTemplate.fields": {},
    "changes.ApprovalLevel.deciders": [],
    "changes.ChangeWindow.windows": [{"from": "2026-03-02T02:00:00+00:00", "to": "2026-03-02T04:00:00+00:00"}],
    "monitoring.Retention.points_days": 40,
    "monitoring.Retention.steps_days": 400,
    "incidents.IncidentAlert.alert_key": "alert:770001",
    "incidents.Incident.phase": "",
    "incidents.Incident.policy": {
        "severity": 2,
        "contract": "",
        "response_minutes": 15,
        "monitoring_response_minutes": 15,
        "notice_minutes": 15,
        "handling_calendar": "7x24",
        "handling_minutes": None,
        "calendar_version_id": None,
    },
}
"""The same for one column of one model: what makes the specimen a thing that pages can show."""


class Marks:
    """Numbers the columns of one customer's specimens: `jx7q` + number + `z`, short enough for every column."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.places: list[str] = []
        self._found = re.compile(rf"{prefix}(\d{{3}})z", re.IGNORECASE)

    def new(self, place: str) -> str:
        self.places.append(place)
        return f"{self.prefix}{len(self.places) - 1:03}z"

    def in_text(self, text: str) -> list[str]:
        """The columns whose mark stands in a text."""
        return sorted({self.places[int(number)] for number in self._found.findall(text)})


@cache
def tenant_models() -> list[Model]:
    """Every model with a customer but the customer, the people and the histories, in no order."""
    names = {table.name for table in row_security.tables()}
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.db_table in names and not issubclass(model, HistoricalChanges) and model not in (Customer, User)
    ]


class Specimens:
    """Plants one object of each model for `customer`; `person` stands wherever a user is wanted."""

    def __init__(self, customer: Customer, person: User, marks: Marks, pk: int, **fixed: object) -> None:
        self.customer = customer
        self.person = person
        self.marks = marks
        self.pk = pk
        self.fixed = fixed
        self.made: dict[Model, models.Model] = {}
        self._dice = random.Random(7)

    def plant(self) -> None:
        with scope.platform("test specimens"):
            for model in tenant_models():
                self.one(model)

    def one(self, model: Model) -> models.Model:
        if model not in self.made:
            self.made[model] = specimen = self._fitting(model)
            specimen.save(force_insert=True)
        return self.made[model]

    def _fitting(self, model: Model) -> models.Model:
        """An instance that its constraints accept: whatever a constraint objects to is tried otherwise."""
        specimen = model(**dict(self._values(model)))
        for _attempt in range(400):
            problems = _objections(specimen)
            if not problems:
                return specimen
            for name in problems:
                field = model._meta.get_field(name)
                assert isinstance(field, models.Field)
                setattr(specimen, field.attname, self._dice.choice(self._alternatives(field)))
        raise AssertionError(
            f"no specimen of {model._meta.label} satisfies its constraints; last objection: {problems}"
        )

    def _values(self, model: Model) -> Iterator[tuple[str, object]]:
        for field in model._meta.local_concrete_fields:
            if field.generated:
                continue
            if field.primary_key and field.remote_field is None:
                yield field.attname, self.pk
            elif field.name in self.fixed:
                yield field.attname, self.fixed[field.name]
            else:
                yield field.attname, self._value(field)

    def _value(self, field: Field) -> object:
        place = f"{field.model._meta.label}.{field.name}"
        if place in PARTICULAR:
            return PARTICULAR[place]
        if field.is_relation:
            return self._related(field)
        if isinstance(field, models.BinaryField):
            return b""
        if field.name in MEANINGFUL:
            return MEANINGFUL[field.name]
        if field.choices:
            return next(value for value, _label in field.flatchoices if value != "")
        for kind, make in PLAIN:
            if isinstance(field, kind):
                return make(self, field)
        raise AssertionError(f"no value known for {field} ({type(field).__name__}): teach tests/specimens.py")

    def _related(self, field: Field) -> object:
        """The customer, the person, or our own specimen of another model; nothing for the rest and for oneself."""
        related = field.related_model
        if related is Customer:
            return self.customer.pk
        if related is User:
            return self.person.pk
        if related is field.model or related not in tenant_models():
            return None
        return self.one(related).pk

    def mark(self, field: Field) -> str:
        return self.marks.new(f"{field.model._meta.label}.{field.name}")

    def _alternatives(self, field: Field) -> Sequence[object]:
        """What a field may hold besides, to please a constraint."""
        if field.choices:
            found: list[object] = [value for value, _label in field.flatchoices]
        elif field.is_relation:
            found = [self._value(field)]
        elif isinstance(field, models.DateTimeField):
            found = [NOW, NOW + timedelta(days=1)]
        elif isinstance(field, models.DateField):
            found = [NOW.date(), NOW.date() + timedelta(days=1)]
        elif isinstance(field, models.CharField | models.TextField):
            found = ["", self.mark(field)[: field.max_length]]
        elif isinstance(field, models.BooleanField):
            found = [True, False]
        else:
            found = [0, 1, 60]
        return [*found, None] if field.null else found


def _default_or(value: object) -> "Callable[[Specimens, Field], object]":
    return lambda _specimens, field: field.get_default() if field.has_default() else value


PLAIN: "Sequence[tuple[type[Field], Callable[[Specimens, Field], object]]]" = (
    (SearchVectorField, lambda _specimens, _field: ""),
    (models.EmailField, lambda specimens, field: f"{specimens.mark(field)}@example.com"),
    (models.CharField, lambda specimens, field: specimens.mark(field)[: field.max_length]),
    (models.TextField, lambda specimens, field: specimens.mark(field)),
    (models.GenericIPAddressField, lambda _specimens, _field: "192.0.2.77"),
    (
        models.JSONField,
        lambda specimens, field: {"note": specimens.mark(field)} if field.default is dict else field.get_default(),
    ),
    (ArrayField, lambda specimens, field: [specimens.mark(field)[:3]]),  # of trigrams
    (models.UUIDField, lambda specimens, _field: uuid.UUID(int=specimens.pk)),
    (models.BooleanField, _default_or(False)),
    (models.DateTimeField, lambda _specimens, field: None if field.null else NOW),
    (models.TimeField, lambda _specimens, _field: NOW.time()),
    (models.DateField, lambda _specimens, _field: NOW.date()),
    (models.IntegerField, _default_or(1)),
    (models.DecimalField, _default_or(1)),
    (models.FloatField, _default_or(1.0)),
)


def _objections(specimen: models.Model) -> list[str]:
    """Names of the fields of the constraints that are violated."""
    names: list[str] = []
    for constraint in specimen._meta.constraints:
        try:
            constraint.validate(type(specimen), specimen)
        except ValidationError:
            fields = list(getattr(constraint, "fields", ()))
            condition = getattr(constraint, "condition", None)
            if condition is not None:
                fields += sorted(condition.referenced_base_fields)
            names += [name for name in dict.fromkeys(fields) if name != "customer"]
    return names
