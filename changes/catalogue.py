"""The service catalogue (R173..R177): operations with their forms, risk, approval path and checklist. Data, no Django.

`data/operations.csv` holds the 65 operations of SOW §2.2.3 and the groups around them, `data/forms.json` what each asks
for, `data/risks.json` who approves and how much ahead, `data/checklists.json` what is looked at afterwards.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).parent / "data"
ANY_KIND: Final[frozenset[str]] = frozenset()


class Risk(StrEnum):
    """How dangerous an operation is by its nature. NONE changes nothing: it is a question or a plan."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    DANGEROUS = "dangerous"


class Type(StrEnum):
    """What a field of a form takes."""

    TEXT = "text"
    NAME = "name"
    """Of a service, package, user: one word that is no option."""
    LONG_TEXT = "long_text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    DATE = "date"
    DATETIME = "datetime"
    IP = "ip"
    CIDR = "cidr"
    DOMAIN = "domain"
    PORTS = "ports"
    PATH = "path"
    BUCKET = "bucket"


class Duty(StrEnum):
    """Who decides at a level of approval."""

    OWNER = "owner"
    SECURITY = "security"
    CUSTOMER = "customer"
    MANAGER = "manager"


class Needs(StrEnum):
    """How many of those who may decide at a level have to say yes."""

    ANY = "any"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Words:
    """The same in both languages of the contract."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    words: Words


@dataclass(frozen=True, slots=True)
class Field:
    """One question of a form. `least` and `most` bound an integer, `unit` is what it counts in."""

    name: str
    type: Type
    words: Words
    required: bool = True
    options: tuple[Option, ...] = ()
    least: int | None = None
    most: int | None = None
    unit: str = ""
    placeholder: str = ""
    offers: str = ""
    """What the page proposes for it, read from the cloud: `disks` of the chosen assets."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to be looked at before the customer is asked to test."""

    code: str
    words: Words


@dataclass(frozen=True, slots=True)
class Level:
    duty: Duty
    needs: Needs


@dataclass(frozen=True, slots=True)
class Route:
    """Who approves, in this order, and how many hours ahead one asks."""

    levels: tuple[Level, ...]
    lead_hours: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the catalogue. `kinds`: the kinds of asset it is about; empty: about any, or none."""

    code: str
    number: int | None
    """Its row in the table of SOW §2.2.3."""
    module: Words
    group: Words
    name: Words
    risk: Risk
    fields: tuple[Field, ...]
    kinds: frozenset[str]
    billing: str
    """included, value_added or separate (R10), as `incidents.ServiceRequest.Billing` has it."""
    costs: bool
    """Alibaba Cloud charges the customer for what comes of it."""
    is_patch: bool
    checklist: tuple[Check, ...]

    @property
    def changes_something(self) -> bool:
        return self.risk is not Risk.NONE

    def about(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds


@cache
def operations() -> Mapping[str, Operation]:
    """All of them by their code, in the order of the file. Raises ValueError on data that cannot be used."""
    forms = {name: tuple(field_of(one) for one in fields) for name, fields in _json("forms.json").items()}
    checklists = {name: tuple(_check(one) for one in checks) for name, checks in _json("checklists.json").items()}
    found: dict[str, Operation] = {}
    with (DATA / "operations.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            operation = _operation(row, forms, checklists)
            if operation.code in found:
                raise ValueError(f"operations.csv: {operation.code} is there twice")
            found[operation.code] = operation
    return found


def route(risk: Risk, *, emergency: bool = False) -> Route:
    """Who approves an operation of this risk."""
    return _routes()["emergency" if emergency else risk.value]


@cache
def _routes() -> Mapping[str, Route]:
    said = _json("risks.json")
    found = {
        name: Route(tuple(Level(Duty(duty), Needs(needs)) for duty, needs in one["levels"]), int(one["lead_hours"]))
        for name, one in said.items()
        if name != "source"
    }
    if missing := {risk.value for risk in Risk} - set(found):
        raise ValueError(f"risks.json: {sorted(missing)} missing")
    return found


def _operation(
    row: Mapping[str, str], forms: Mapping[str, tuple[Field, ...]], checklists: Mapping[str, tuple[Check, ...]]
) -> Operation:
    if row["billing"] not in ("included", "value_added", "separate"):
        raise ValueError(f"operations.csv: {row['code']}: billing {row['billing']}")
    return Operation(
        code=row["code"],
        number=int(row["number"]) if row["number"] else None,
        module=Words(row["module_en"], row["module_zh"]),
        group=Words(row["group_en"], row["group_zh"]),
        name=Words(row["name_en"], row["name_zh"]),
        risk=Risk(row["risk"]),
        fields=forms[row["form"]],
        kinds=frozenset(row["kinds"].split()),
        billing=row["billing"],
        costs=row["cloud_cost"] == "yes",
        is_patch=row["patch"] == "yes",
        checklist=checklists[row["checklist"]] if row["checklist"] else (),
    )


def field_of(said: Mapping[str, Any]) -> Field:
    """A question out of data. Raises KeyError or ValueError."""
    field = Field(
        name=said["name"],
        type=Type(said["type"]),
        words=Words(said["en"], said["zh"]),
        required=said.get("required", True),
        options=tuple(Option(one["value"], Words(one["en"], one["zh"])) for one in said.get("choices", ())),
        least=said.get("min"),
        most=said.get("max"),
        unit=said.get("unit", ""),
        placeholder=said.get("placeholder", ""),
        offers=said.get("offers", ""),
    )
    if (field.type is Type.CHOICE) != bool(field.options):
        raise ValueError(f"{field.name}: a choice has options, and nothing else has")
    return field


def _check(said: Mapping[str, str]) -> Check:
    return Check(said["code"], Words(said["en"], said["zh"]))


def _json(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return found
