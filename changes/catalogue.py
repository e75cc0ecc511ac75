"""The service catalogue (R173..R177): operations with their forms, risk, approval path and checklist. Data, no Django.

`data/operations.csv` holds the 65 operations of SOW §2.2.3 and the groups around them, `data/forms.json` what each asks
for, `data/risks.json` who approves and how much ahead, `data/checklists.json` what is looked at afterwards and what
proves it.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).parent / "data"
SNAPSHOT_ID: Final = re.compile(r"s-[a-z0-9]{6,40}")
CREATED: Final = "created"
"""The checklist of what is made anew."""
LICENCE: Final = "license"
"""The field of a form that asks for licence and vendor's support."""
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
    SNAPSHOT = "snapshot"
    LINK = "link"
    FILE = "file"
    """Of evidence only: what is kept is the ID of the change's file."""


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
    """Something to be looked at, before the customer is asked to test or after a failure, and what shows it."""

    code: str
    words: Words
    evidence: tuple[Field, ...] = ()

    def lacks(self, given: Mapping[str, object]) -> tuple[Field, ...]:
        """The evidence that is required and not there."""
        return tuple(field for field in self.evidence if field.required and given.get(field.name) in (None, ""))


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
    makes_new: bool
    """What it is about does not exist before: there is nothing to back up."""
    checklist: tuple[Check, ...]
    response_minutes: int
    """Within which a request for it is answered: 15 by the contract (R55)."""
    completion_hours: int
    """Working hours within which it is done, without waiting for the customer; a proposal, the contract names none."""

    @property
    def changes_something(self) -> bool:
        return self.risk is not Risk.NONE

    @property
    def needs_licence(self) -> bool:
        """Licence and vendor's support are the customer's cost (R5, 责任 3.6): the form asks for them."""
        return any(field.name == LICENCE for field in self.fields)

    def about(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds


@cache
def operations() -> Mapping[str, Operation]:
    """All of them by their code, in the order of the file. Raises ValueError on data that cannot be used."""
    forms = {name: tuple(field_of(one) for one in fields) for name, fields in _json("forms.json").items()}
    if files := [name for name, fields in forms.items() if any(field.type is Type.FILE for field in fields)]:
        raise ValueError(f"forms.json: {files}: a file is evidence, no question")
    checklists = _checklists()
    found: dict[str, Operation] = {}
    with (DATA / "operations.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            operation = _operation(row, forms, checklists)
            if operation.code in found:
                raise ValueError(f"operations.csv: {operation.code} is there twice")
            found[operation.code] = operation
    return found


def after_failure() -> tuple[Check, ...]:
    """What is looked at when a change has failed, and when it is undone: of every operation the same."""
    return (*_checklists()["failed"], *_checklists()["rolled_back"])


@cache
def _checklists() -> Mapping[str, tuple[Check, ...]]:
    lists = {name: tuple(_check(one) for one in checks) for name, checks in _json("checklists.json").items()}
    shared = {one.code for name in ("failed", "rolled_back") for one in lists[name]}
    for name, checks in lists.items():
        codes = [one.code for one in checks]
        if len(codes) != len(set(codes)) or (name not in ("failed", "rolled_back") and shared & set(codes)):
            raise ValueError(f"checklists.json: {name}: a code is there twice")
    return lists


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
        makes_new=row["checklist"] == CREATED,
        checklist=checklists[row["checklist"]] if row["checklist"] else (),
        response_minutes=_time(row, "respond_minutes"),
        completion_hours=_time(row, "complete_hours"),
    )


def _time(row: Mapping[str, str], name: str) -> int:
    if not row[name].isdecimal() or not int(row[name]):
        raise ValueError(f"operations.csv: {row['code']}: {name} {row[name]}")
    return int(row[name])


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


def _check(said: Mapping[str, Any]) -> Check:
    fields = tuple(field_of(one) for one in said.get("evidence", ()))
    return Check(said["code"], Words(said["en"], said["zh"]), fields)


def _json(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return found
