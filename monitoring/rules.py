"""The SOW's alert rules, a few of our own, and the metrics they speak of, loaded from data files and checked at start.

A rule has two halves. `sow` is what the contract writes, untouched. The rest is what is evaluated; where the two
differ, the file must say why, and both are shown side by side. Conditions are written as people read them:

    ecs.cpu.util >= 90 %                                          the value itself
    host.fs.free_pct < 5 % & host.fs.free_bytes < 5 GiB           two figures of the same thing at the same moment
    rabbitmq.disk_free_bytes - rabbitmq.disk_free_limit_bytes < 0 B
    change(host.boot_time) > 30 s                                 against the point before
    increase(phpfpm.max_children_reached) > 0 count               likewise, a counter that may restart at zero
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).parent / "data"
SEVERITIES: Final = ("disaster", "high", "average", "warning")
SCOPES: Final = frozenset({"not_ecs", "linux", "windows"})


class CatalogueError(ValueError):
    """A data file says something that cannot be; the message names the file and the line."""


class Kind(StrEnum):
    """How a rule looks at its metrics (reference: the SOW's 90 rules fall into these six)."""

    THRESHOLD = "threshold"
    STATE = "state"
    EVENT = "event"
    COMPOUND = "compound"
    DERIVED = "derived"
    COUNTER = "counter"


class Form(StrEnum):
    """What a condition compares: a value, or something made of two values."""

    VALUE = "value"
    DIFFERENCE = "difference"
    CHANGE = "change"
    INCREASE = "increase"


class Comparator(StrEnum):
    GE = ">="
    GT = ">"
    LE = "<="
    LT = "<"
    EQ = "="
    NE = "!="


class NoData(StrEnum):
    """What silence means: keep the last verdict, a problem of its own, nothing at all, or that the thing is gone."""

    KEEP = "keep"
    PROBLEM = "problem"
    IGNORE = "ignore"
    RESOLVE = "resolve"


FORMS: Final[Mapping[Kind, frozenset[Form]]] = {
    Kind.THRESHOLD: frozenset({Form.VALUE}),
    Kind.STATE: frozenset({Form.VALUE}),
    Kind.COMPOUND: frozenset({Form.VALUE}),
    Kind.DERIVED: frozenset({Form.DIFFERENCE}),
    Kind.EVENT: frozenset({Form.CHANGE}),
    Kind.COUNTER: frozenset({Form.INCREASE}),
}
SCALES: Final[Mapping[tuple[str, str], float]] = {
    ("MiB", "B"): 1024.0**2,
    ("GiB", "B"): 1024.0**3,
}
SAME_UNIT: Final[Mapping[str, str]] = {"M": "MiB", "G": "GiB"}
"""The SOW's units, as they are taken."""


Codes = Mapping[str, Mapping[int, tuple[str, str]]]
"""Per metric and value: its name in Chinese and English."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure that collectors may bring, under our name and in our unit."""

    name: str
    unit: str
    kind: str
    name_zh: str
    name_en: str
    labels: tuple[str, ...]
    source: str
    cms_namespace: str
    cms_metrics: tuple[str, ...]
    cms_statistic: str
    cms_dimensions: tuple[str, ...]
    exporter: str
    note: str


@dataclass(frozen=True, slots=True)
class SowCondition:
    comparator: Comparator
    threshold: float
    unit: str


@dataclass(frozen=True, slots=True)
class Sow:
    """A rule as the contract writes it."""

    text: str
    period_s: int
    times: int
    conditions: tuple[SowCondition, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. `limit` is the threshold in the unit of the metric itself."""

    form: Form
    metrics: tuple[str, ...]
    comparator: Comparator
    threshold: float
    unit: str
    scale: float = 1.0

    @property
    def limit(self) -> float:
        return self.threshold * self.scale

    @property
    def subject(self) -> str:
        if self.form is Form.VALUE:
            return self.metrics[0]
        if self.form is Form.DIFFERENCE:
            return " - ".join(self.metrics)
        return f"{self.form.value}({self.metrics[0]})"

    def __str__(self) -> str:
        return f"{self.subject} {self.comparator.value} {plain(self.threshold)} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what the SOW says, and what is evaluated. All `conditions` must hold; any of `recovery` is enough."""

    id: str
    product: str
    name_zh: str
    name_en: str
    severity: str
    sow: Sow
    kind: Kind
    conditions: tuple[Condition, ...]
    times: int
    recovery: tuple[Condition, ...]
    recovery_times: int
    recovery_after_s: int
    scope: frozenset[str]
    no_data: NoData
    enabled: bool
    reason_zh: str
    reason_en: str
    only_asset: int | None = None
    only_labels: frozenset[str] = frozenset()
    """Of a customer's own rule: the asset and the label pairs (as `labels_text` writes them) it is meant for."""

    @property
    def period_s(self) -> int:
        return self.sow.period_s

    @property
    def is_sows(self) -> bool:
        """Whether the contract names it; our own rules fill what it left open (`data/own_rules.csv`)."""
        return bool(self.sow.text)

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for condition in self.conditions for name in condition.metrics))

    @property
    def form(self) -> Form:
        return self.conditions[0].form

    @property
    def deviates(self) -> bool:
        """Whether what is evaluated differs from the letter of the SOW in more than notation."""
        literal = tuple((c.comparator, c.threshold, SAME_UNIT.get(c.unit, "")) for c in self.sow.conditions)
        ours = tuple((c.comparator, c.threshold, c.unit if c.scale != 1 else "") for c in self.conditions)
        return (
            not self.enabled
            or self.kind in (Kind.EVENT, Kind.COUNTER)
            or literal != ours
            or self.times != self.sow.times
        )

    def name(self, language: str) -> str:
        return self.name_zh if language.startswith("zh") else self.name_en

    def reason(self, language: str) -> str:
        return self.reason_zh if language.startswith("zh") else self.reason_en


def plain(value: float) -> str:
    """A figure without a needless '.0'."""
    return str(int(value)) if value == int(value) else repr(value)


# --- reading -------------------------------------------------------------------------------------------------------

_NAME = r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+"
_CONDITION = re.compile(
    rf"(?:(?P<function>change|increase)\((?P<of>{_NAME})\)|(?P<metric>{_NAME})(?:\s+-\s+(?P<minus>{_NAME}))?)"
    r"\s+(?P<comparator>>=|<=|!=|>|<|=)\s+(?P<threshold>-?\d+(?:\.\d+)?)(?:\s+(?P<unit>\S+))?"
)
_SOW_CONDITION = re.compile(r"(?P<comparator>>=|<=|!=|>|<|=) (?P<threshold>\d+(?:\.\d+)?)(?: (?P<unit>\S+))?")


def load_metrics(path: Path = DATA / "metrics.csv") -> Mapping[str, Metric]:
    """The metric catalogue by name. Raises CatalogueError."""
    metrics: dict[str, Metric] = {}
    for where, row in _rows(path):
        if row["metric"] in metrics:
            raise CatalogueError(f"{where}: {row['metric']} is there twice")
        if not re.fullmatch(_NAME, row["metric"]):
            raise CatalogueError(f"{where}: {row['metric']!r} is not a metric name")
        if row["source"] in ("cms", "rds") and not (row["cms_namespace"] and row["cms_metric"]):
            raise CatalogueError(f"{where}: {row['metric']} comes from CMS but names no namespace or metric there")
        metrics[row["metric"]] = Metric(
            name=row["metric"],
            unit=row["unit"],
            kind=_one_of(where, "kind", row["kind"], ("gauge", "counter", "state", "start", "uptime")),
            name_zh=row["name_zh"],
            name_en=row["name_en"],
            labels=_words(row["labels"], ","),
            source=_one_of(where, "source", row["source"], ("agent", "probe", "cms", "rds")),
            cms_namespace=row["cms_namespace"],
            cms_metrics=_words(row["cms_metric"], "|"),
            cms_statistic=row["cms_statistic"],
            cms_dimensions=_words(row["cms_dimensions"], ","),
            exporter=row["exporter"],
            note=row["note"],
        )
    return metrics


def load_codes(path: Path = DATA / "codes.csv", metrics: Mapping[str, Metric] | None = None) -> Codes:
    """What the values of state metrics mean, in Chinese and English. Raises CatalogueError."""
    known = METRICS if metrics is None else metrics
    codes: dict[str, dict[int, tuple[str, str]]] = {}
    for where, row in _rows(path):
        if row["metric"] not in known:
            raise CatalogueError(f"{where}: metric {row['metric']!r} is not in the catalogue")
        if not re.fullmatch(r"-?\d+", row["code"]):
            raise CatalogueError(f"{where}: {row['code']!r} is not a code")
        codes.setdefault(row["metric"], {})[int(row["code"])] = (row["name_zh"], row["name_en"])
    return codes


def load_rules(path: Path = DATA / "rules.csv", metrics: Mapping[str, Metric] | None = None) -> Mapping[str, Rule]:
    """The rules by id, in the SOW's order. Raises CatalogueError."""
    known = METRICS if metrics is None else metrics
    rules: dict[str, Rule] = {}
    for where, row in _rows(path):
        rule = _rule(where, row, known)
        if rule.id in rules:
            raise CatalogueError(f"{where}: {rule.id} is there twice")
        rules[rule.id] = rule
    return rules


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            where = f"{path.name} line {reader.line_num}"
            if None in row or None in row.values():
                raise CatalogueError(f"{where}: expected {len(reader.fieldnames or ())} columns")
            yield where, row


def _rule(where: str, row: Mapping[str, str], metrics: Mapping[str, Metric]) -> Rule:
    kind = Kind(_one_of(where, "kind", row["kind"], [*Kind]))
    conditions = _conditions(where, row["conditions"], "&", metrics)
    scopes = frozenset(row["scope"].split())
    if not scopes <= SCOPES:
        raise CatalogueError(f"{where}: scope {' '.join(sorted(scopes - SCOPES))!r} is unknown")
    rule = Rule(
        id=row["id"],
        product=row["product"],
        name_zh=row["name_zh"],
        name_en=row["name_en"],
        severity=_one_of(where, "severity", row["severity"], SEVERITIES),
        sow=_sow(where, row),
        kind=kind,
        conditions=conditions,
        times=_count(where, row, "times"),
        recovery=_conditions(where, row["recovery"], "|", metrics) if row["recovery"] else (),
        recovery_times=_count(where, row, "recovery_times"),
        recovery_after_s=_count(where, row, "recovery_after_s", least=0),
        scope=scopes,
        no_data=NoData(_one_of(where, "no_data", row["no_data"], [*NoData])),
        enabled=_one_of(where, "enabled", row["enabled"], ("yes", "no")) == "yes",
        reason_zh=row["reason_zh"],
        reason_en=row["reason_en"],
    )
    _check(where, rule)
    return rule


def _check(where: str, rule: Rule) -> None:
    if not (rule.id and rule.product and rule.name_zh and rule.name_en):
        raise CatalogueError(f"{where}: id, product and both names are needed")
    if {c.form for c in rule.conditions} - FORMS[rule.kind]:
        raise CatalogueError(f"{where}: a rule of kind {rule.kind.value} cannot be written as {rule.conditions[0]}")
    if (rule.kind is Kind.COMPOUND and len(rule.conditions) != 2) or len(rule.conditions) > 2:
        raise CatalogueError(f"{where}: {len(rule.conditions)} conditions in a rule of kind {rule.kind.value}")
    if not rule.recovery and rule.kind is not Kind.EVENT:
        raise CatalogueError(f"{where}: only an event may go without a recovery condition")
    if rule.recovery and [c.subject for c in rule.recovery] != [c.subject for c in rule.conditions]:
        raise CatalogueError(f"{where}: the recovery must speak of the same figures as the conditions, in their order")
    if rule.deviates and not (rule.reason_zh and rule.reason_en):
        raise CatalogueError(f"{where}: {rule.id} deviates from the SOW without a reason")


def _sow(where: str, row: Mapping[str, str]) -> Sow:
    conditions = []
    for text in row["sow_conditions"].split(" & ") if row["sow_conditions"] else ():
        match = _SOW_CONDITION.fullmatch(text)
        if match is None:
            raise CatalogueError(f"{where}: {text!r} is not a condition of the SOW")
        comparator = Comparator(match["comparator"])
        conditions.append(SowCondition(comparator, float(match["threshold"]), match["unit"] or ""))
    return Sow(
        text=row["sow_text"],
        period_s=_count(where, row, "sow_period_s"),
        times=_count(where, row, "sow_times"),
        conditions=tuple(conditions),
    )


def _conditions(where: str, text: str, joint: str, metrics: Mapping[str, Metric]) -> tuple[Condition, ...]:
    return tuple(_condition(where, part.strip(), metrics) for part in text.split(joint))


def _condition(where: str, text: str, metrics: Mapping[str, Metric]) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise CatalogueError(f"{where}: {text!r} is not a condition")
    names = tuple(name for name in (match["of"], match["metric"], match["minus"]) if name)
    unknown = [name for name in names if name not in metrics]
    if unknown:
        raise CatalogueError(f"{where}: metric {unknown[0]!r} is not in the catalogue")
    unit, own = match["unit"] or "", metrics[names[0]].unit
    if match["function"] == "change" and own == "unix s":
        own = "s"
    if unit != own and (unit, own) not in SCALES:
        raise CatalogueError(f"{where}: {names[0]} is in {own!r}, not in {unit!r}")
    if len(names) == 2 and metrics[names[0]].labels != metrics[names[1]].labels:
        raise CatalogueError(f"{where}: {names[0]} and {names[1]} have different labels")
    form = Form(match["function"]) if match["function"] else Form.DIFFERENCE if match["minus"] else Form.VALUE
    scale = SCALES.get((unit, own), 1.0)
    return Condition(form, names, Comparator(match["comparator"]), float(match["threshold"]), unit, scale)


def _words(text: str, separator: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(separator) if word.strip())


def _one_of(where: str, what: str, text: str, allowed: Sequence[str]) -> str:
    if text not in allowed:
        raise CatalogueError(f"{where}: {what} {text!r} is none of {', '.join(allowed)}")
    return text


def _count(where: str, row: Mapping[str, str], column: str, least: int = 1) -> int:
    text = row[column]
    if not text.isdecimal() or int(text) < least:
        raise CatalogueError(f"{where}: {column} {text!r} is not a whole number from {least} up")
    return int(text)


CUSTOM: Final = "custom."
"""How figures of custom scripts are named: `custom.<script>.<item>`."""


class Catalogue(dict[str, Metric]):
    """The catalogue; what customers' scripts bring has no line in it and still has a name."""

    def __missing__(self, name: str) -> Metric:
        if not name.startswith(CUSTOM):
            raise KeyError(name)
        shown = name.removeprefix(CUSTOM)
        return Metric(name, "", "gauge", shown, shown, (), "agent", "", (), "", (), "", "")


METRICS: Final[Mapping[str, Metric]] = Catalogue(load_metrics())
CODES: Final = load_codes()
SOW_RULES: Final[Mapping[str, Rule]] = load_rules()
"""The 90 of the contract."""
RULES: Final[Mapping[str, Rule]] = {**SOW_RULES, **load_rules(DATA / "own_rules.csv")}
"""All that are evaluated."""


def metric_of(name: str) -> Metric | None:
    """A metric of the catalogue or of a custom script; None for a name that means nothing."""
    try:
        return METRICS[name]
    except KeyError:
        return None


# --- showing -------------------------------------------------------------------------------------------------------


def as_json(rule: Rule) -> dict[str, object]:
    """One rule for machines: the SOW's half and the effective half."""
    return {
        "id": rule.id,
        "product": rule.product,
        "name_zh": rule.name_zh,
        "name_en": rule.name_en,
        "severity": rule.severity,
        "sow": {
            "text": rule.sow.text,
            "period_s": rule.sow.period_s,
            "times": rule.sow.times,
            "conditions": [
                {"comparator": c.comparator.value, "threshold": _number(c.threshold), "unit": c.unit}
                for c in rule.sow.conditions
            ],
        },
        "effective": {
            "kind": rule.kind.value,
            "enabled": rule.enabled,
            "period_s": rule.period_s,
            "times": rule.times,
            "metrics": [_metric_json(METRICS[name]) for name in rule.metrics],
            "statistic": METRICS[rule.metrics[0]].cms_statistic or None,
            "conditions": [_condition_json(c) for c in rule.conditions],
            "recovery": {
                "conditions": [_condition_json(c) for c in rule.recovery],
                "join": "any",
                "times": rule.recovery_times,
                "after_s": rule.recovery_after_s,
            },
            "scope": {"only": sorted(rule.scope), "per": ["asset", *METRICS[rule.metrics[0]].labels]},
            "no_data": rule.no_data.value,
            "deviates": rule.deviates,
            "reason": {"zh": rule.reason_zh, "en": rule.reason_en} if rule.reason_zh else None,
        },
    }


def _metric_json(metric: Metric) -> dict[str, object]:
    return {
        "metric": metric.name,
        "unit": metric.unit,
        "source": metric.source,
        "cms": {"namespace": metric.cms_namespace, "metrics": list(metric.cms_metrics)}
        if metric.cms_namespace
        else None,
    }


def _condition_json(condition: Condition) -> dict[str, object]:
    return {
        "subject": condition.subject,
        "comparator": condition.comparator.value,
        "threshold": _number(condition.threshold),
        "unit": condition.unit,
    }


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value
