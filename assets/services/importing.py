"""Bringing a CSV file into the assets of one customer: a plan of what each line would do, then all of it or none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.facts import Facts
from assets.models import MANUAL_KINDS, Asset, Environment, Kind
from assets.services.inventory import (
    FACT_FIELDS,
    Ownership,
    checked,
    create_manual,
    facts_of,
    set_owner,
    update_manual,
)
from assets.sheets import Line, Sheet, parse_tags
from assets.words import PROBLEMS

OWNER_FIELDS = Asset.OWNER_FIELDS
YES = ("1", "yes", "true", "y", "是", "√")
NO = ("", "0", "no", "false", "n", "否")


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    NOTHING = "nothing"
    ERROR = "error"


@dataclass(frozen=True)
class Step:
    """What one line would do. `changes` are pairs of old and new by field."""

    number: int
    action: Action
    kind: str = ""
    name: str = ""
    changes: Mapping[str, tuple[object, object]] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    asset_id: int | None = None
    facts: Facts | None = None
    ownership: Ownership | None = None


@dataclass(frozen=True)
class Plan:
    steps: tuple[Step, ...]
    unknown: tuple[str, ...]

    def count(self, action: str) -> int:
        return sum(step.action == action for step in self.steps)

    @property
    def has_errors(self) -> bool:
        return any(step.action is Action.ERROR for step in self.steps)

    @property
    def created(self) -> int:
        return self.count(Action.CREATE)

    @property
    def updated(self) -> int:
        return self.count(Action.UPDATE)

    @property
    def failed(self) -> int:
        return self.count(Action.ERROR)


class _LineError(Exception):
    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = messages


def plan(*, customer: Customer, sheet: Sheet, actor: User) -> Plan:
    """Read every line against what is there. Touches nothing."""
    assets = list(Asset.objects.filter(customer=customer))
    known = _Known(
        {asset.pk: asset for asset in assets},
        {(asset.kind, asset.name): asset for asset in assets if asset.is_manual and asset.retired_at is None},
        {(asset.kind, asset.provider_id): asset for asset in assets if not asset.is_manual},
    )
    steps: list[Step] = []
    taken: dict[object, int] = {}
    for line in sheet.lines:
        step = _step(line, known, actor)
        key = step.asset_id or (step.kind, step.name)
        if step.action is not Action.ERROR and key in taken:
            text = _("Line %(number)d speaks of the same asset.") % {"number": taken[key]}
            step = replace(step, action=Action.ERROR, errors=(text,))
        taken.setdefault(key, line.number)
        steps.append(step)
    return Plan(tuple(steps), sheet.unknown)


@transaction.atomic
def apply(*, customer: Customer, sheet: Sheet, actor: User, now: datetime) -> Plan:
    """Do what the plan says, all or nothing. It is planned anew: the assets may have changed since the preview."""
    found = plan(customer=customer, sheet=sheet, actor=actor)
    if found.has_errors:
        raise DomainError(_("Nothing was imported: some lines have errors. Please correct the file."), code="lines")
    for step in found.steps:
        _do(step, customer, actor, now)
    detail = {"created": found.created, "updated": found.updated, "lines": len(found.steps)}
    audit.record(action="asset.import", actor=actor, customer=customer, detail=detail, now=now)
    return found


@dataclass(frozen=True)
class _Known:
    by_id: Mapping[int, Asset]
    manual: Mapping[tuple[str, str], Asset]
    cloud: Mapping[tuple[str, str], Asset]


def _step(line: Line, known: _Known, actor: User) -> Step:
    name, kind = line.values.get("name", ""), line.values.get("kind", "")
    try:
        kind = _choice(Kind, kind, "kind") if kind else ""
        asset = _find(line, kind, known)
        if asset is not None and not asset.is_manual:
            return _owner_step(line, asset)
        if asset is None and kind not in MANUAL_KINDS:
            raise _LineError(_("Cloud resources come from synchronisation; no such resource is known."))
        return _facts_step(line, asset, kind or (asset.kind if asset else ""), actor)
    except _LineError as error:
        return Step(line.number, Action.ERROR, kind, name, errors=tuple(error.messages))


def _find(line: Line, kind: str, known: _Known) -> Asset | None:
    wanted = line.values.get("id", "")
    if wanted:
        asset = known.by_id.get(int(wanted)) if wanted.isdigit() else None
        if asset is None:
            raise _LineError(_("This customer has no asset %(id)s.") % {"id": wanted})
        if kind and kind != asset.kind:
            raise _LineError(_("The kind of an asset cannot be changed. Retire it and add another."))
        return asset
    provider_id = line.values.get("provider_id", "")
    if provider_id and kind:
        return known.cloud.get((kind, provider_id))
    return known.manual.get((kind, line.values.get("name", "")))


def _owner_step(line: Line, asset: Asset) -> Step:
    """Of a cloud resource people know the owner; everything else is the provider's to say."""
    values = {name: line.values[name] for name in OWNER_FIELDS if name in line.values}
    if "environment" in values:
        values["environment"] = _environment(values["environment"])
    changes = {name: (getattr(asset, name), value) for name, value in values.items() if getattr(asset, name) != value}
    action = Action.UPDATE if changes else Action.NOTHING
    return Step(line.number, action, asset.kind, asset.name, changes, asset_id=asset.pk, ownership=Ownership(**values))


def _facts_step(line: Line, asset: Asset | None, kind: str, actor: User) -> Step:
    before = facts_of(asset) if asset else Facts(kind=kind, name="")
    values = _values(line)
    result = checked(replace(before, **values), actor)  # type: ignore[arg-type]  # each converted to its field's type
    messages = [_say(name, str(PROBLEMS[code])) for name, code in result.problems.items()]
    facts = result.facts
    try:
        Asset(kind=kind, **{name: getattr(facts, name) for name in FACT_FIELDS if name != "kind"}).clean_fields(
            exclude=["customer", "created_at", "changed_at", *result.problems]
        )
    except ValidationError as error:
        messages += [_say(name, text) for name, texts in error.message_dict.items() for text in texts]
    if messages:
        raise _LineError(*messages)
    changes = {
        name: (getattr(before, name), getattr(facts, name))
        for name in FACT_FIELDS
        if getattr(before, name) != getattr(facts, name)
    }
    if asset is None:
        return Step(line.number, Action.CREATE, kind, facts.name, facts=facts)
    action = Action.UPDATE if changes else Action.NOTHING
    return Step(line.number, action, kind, facts.name, changes, asset_id=asset.pk, facts=facts)


def _do(step: Step, customer: Customer, actor: User, now: datetime) -> None:
    if step.action is Action.CREATE and step.facts:
        create_manual(customer=customer, facts=step.facts, actor=actor, now=now)
    elif step.action is Action.UPDATE and step.asset_id:
        asset = Asset.objects.get(pk=step.asset_id)
        if step.facts:
            update_manual(asset=asset, facts=step.facts, actor=actor, now=now)
        elif step.ownership:
            set_owner(assets=[asset], ownership=step.ownership, actor=actor, now=now)


def _values(line: Line) -> dict[str, object]:
    """The line's cells, each as the type of its field. Raises _LineError with everything that is wrong."""
    values: dict[str, object] = {}
    errors: list[str] = []
    for name, text in line.values.items():
        if name in ("id", "kind", "provider_id"):
            continue
        try:
            values[name] = _value(name, text)
        except _LineError as error:
            errors += error.messages
    if errors:
        raise _LineError(*errors)
    return values


def _value(name: str, text: str) -> object:
    convert = _CONVERT.get(name)
    return convert(text) if convert else text


def _port(text: str) -> int | None:
    number = text.removesuffix(".0")  # as spreadsheets like to write it
    if number and not number.isdigit():
        raise _LineError(_say("port", str(PROBLEMS["port"])))
    return int(number) if number else None


def _flag(text: str) -> bool:
    if text.casefold() not in (*YES, *NO):
        raise _LineError(_say("hardware_by_customer", _("Write 1 or 0.")))
    return text.casefold() in YES


def _tags(text: str) -> dict[str, str]:
    try:
        return parse_tags(text)
    except ValueError:
        raise _LineError(_say("tags", _("Write tags as key=value; key=value."))) from None


def _os(text: str) -> str:
    return _choice(Asset.Os, text, "os") if text not in ("", "—") else ""


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    tidy = text.replace("/", "-")
    try:
        moment = parse_datetime(tidy if ":" in tidy else f"{tidy} 00:00")
    except ValueError:
        moment = None
    if moment is None:
        raise _LineError(_say("expires_at", _("Write a time as 2026-12-31 16:00.")))
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def _environment(text: str) -> str:
    return _choice(Environment, text, "environment") if text else Environment.UNKNOWN


def _choice(choices: type[Kind] | type[Environment] | type[Asset.Os], text: str, name: str) -> str:
    """The value of a choice by its value or by its label in either language."""
    wanted = text.casefold()
    for language in ("en", "zh-hans"):
        with override(language):
            for value, label in choices.choices:
                if wanted in (str(value).casefold(), str(label).casefold()):
                    return str(value)
    raise _LineError(_say(name, _("“%(text)s” is none of the possible values.") % {"text": text}))


def _say(name: str, text: str) -> str:
    label = Asset._meta.get_field(name).verbose_name  # type: ignore[union-attr]  # a column, never a relation
    return f"{label}: {text}"


_CONVERT: Mapping[str, Callable[[str], object]] = {
    "port": _port,
    "private_ip": lambda text: text or None,
    "public_ip": lambda text: text or None,
    "expires_at": _moment,
    "environment": _environment,
    "os": _os,
    "hardware_by_customer": _flag,
    "tags": _tags,
}
