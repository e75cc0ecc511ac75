"""Add, change or delete one DNS record of a domain in Alibaba Cloud DNS.

It keeps a name without the dot at its end, whatever was sent, and to the DNS large and small letters are the same
(RFC 4343): values are compared so, or a record that is there would never be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv6Address

from assets.aliyun.resources import Row, rows, text
from changes.catalogue import Words
from changes.operations.executable import (
    ABSENT,
    DONE,
    Cloud,
    Executable,
    Fields,
    Job,
    Refused,
    Repeat,
    Seen,
    Step,
    last_is_done,
)

DEFAULT_TTL = "600"
NAMES = frozenset({"CNAME", "MX", "NS", "SRV"})
"""Records whose value is, or ends with, a name."""
_KEPT = ("RR", "Type", "Value", "TTL")
_ALSO = ("Line", "Priority")
"""The line that a record answers on, and the order of mail servers: who does not say them anew gets the usual ones."""


def fits(fields: Fields) -> bool:
    return fields.get("action") in ("add", "modify", "delete")


def plan(cloud: Cloud, job: Job) -> tuple[Step, ...]:
    action, domain = job.said("action"), job.said("domain")
    wanted = {
        "RR": job.said("rr"),
        "Type": job.said("type"),
        "Value": job.said("value"),
        "TTL": job.said("ttl") or DEFAULT_TTL,
    }
    found = _records(cloud, domain, wanted["RR"], wanted["Type"])
    same = [row for row in found if is_same(wanted["Type"], text(row, "Value"), wanted["Value"])]
    if action == "add":
        if same:
            raise Refused("record_there")
        if wanted["Type"] == "MX" and not job.said("priority"):
            raise Refused("no_priority")
        return (_add(domain, {**wanted, **_priority(job, wanted)}),)
    chosen = same if action == "delete" else found
    if len(chosen) != 1:
        raise Refused("record_not_one", str(len(chosen)))
    has = _ALSO if wanted["Type"] == "MX" else _ALSO[:1]
    also = {name: text(chosen[0], name) for name in has if text(chosen[0], name)}
    before = {"DomainName": domain, **{name: text(chosen[0], name) for name in _KEPT}, **also}
    record_id = text(chosen[0], "RecordId")
    if action == "delete":
        return (Step("Alidns", "DeleteDomainRecord", {"RecordId": record_id}, Repeat.HARMLESS, before=before),)
    wanted |= {**also, **_priority(job, wanted)}
    if _is_kept(chosen[0], wanted["Type"], wanted, tuple(wanted)):
        raise Refused("is_so_already", wanted["Value"])
    return (Step("Alidns", "UpdateDomainRecord", {"RecordId": record_id, **wanted}, Repeat.HARMLESS, before=before),)


def _priority(job: Job, wanted: Mapping[str, str]) -> dict[str, str]:
    """Of mail servers only."""
    return {"Priority": job.said("priority")} if wanted["Type"] == "MX" and job.said("priority") else {}


def _records(cloud: Cloud, domain: str, rr: str, kind: str) -> list[Row]:
    """The DNS product searches by part of the word: what fits exactly is chosen here."""
    asked = {"DomainName": domain, "RRKeyWord": rr, "Type": kind, "PageSize": "500"}
    found = rows(cloud.ask("Alidns", "DescribeDomainRecords", asked), "DomainRecords", "Record")
    return [row for row in found if text(row, "RR").lower() == rr.lower() and text(row, "Type") == kind]


def is_same(kind: str, one: str, other: str) -> bool:
    """Whether two values of a record say the same."""
    if kind in NAMES:
        return one.lower().removesuffix(".") == other.lower().removesuffix(".")
    if kind == "AAAA":
        with suppress(ValueError):
            return IPv6Address(one) == IPv6Address(other)
    return one == other


def _is_kept(row: Row, kind: str, wanted: Mapping[str, str], names: Sequence[str]) -> bool:
    """Whether a record of the cloud says what was wanted, in these fields."""
    for name in names:
        has, said = text(row, name), wanted[name]
        if name == "RR":
            continue  # the records were chosen by it
        if not (is_same(kind, has, said) if name == "Value" else has == said):
            return False
    return True


def _add(domain: str, record: Mapping[str, str]) -> Step:
    params = {"DomainName": domain, **{name: record[name] for name in (*_KEPT, *_ALSO) if name in record}}
    return Step(
        "Alidns", "AddDomainRecord", params, Repeat.HARMLESS, keeps=("RecordId",), before={"DomainName": domain}
    )


def look(cloud: Cloud, job: Job, step: Step) -> Seen:
    is_gone = step.action == "DeleteDomainRecord"
    wanted = step.before if is_gone else step.params
    found = _records(cloud, step.before["DomainName"], wanted["RR"], wanted["Type"])
    if is_gone:
        compared = [name for name in ("Value", "Line") if name in wanted]
        return ABSENT if any(_is_kept(row, wanted["Type"], wanted, compared) for row in found) else DONE
    compared = [name for name in ("Value", "TTL", *_ALSO) if name in wanted]
    for row in found:
        if _is_kept(row, wanted["Type"], wanted, compared):
            return Seen(DONE.progress, 100, "", {"RecordId": text(row, "RecordId")})
    return ABSENT


def undo(steps: Sequence[Step]) -> tuple[Step, ...]:
    step = steps[0]
    if step.action == "DeleteDomainRecord":
        return (_add(step.before["DomainName"], step.before),)
    if step.action == "AddDomainRecord":
        before = {**step.params}
        return (
            Step("Alidns", "DeleteDomainRecord", {"RecordId": step.result["RecordId"]}, Repeat.HARMLESS, before=before),
        )
    kept = {name: step.before[name] for name in (*_KEPT, *_ALSO) if name in step.before}
    params = {"RecordId": step.params["RecordId"], **kept}
    return (Step("Alidns", "UpdateDomainRecord", params, Repeat.HARMLESS, before={**step.before}),)


OPERATION = Executable(
    code="dns.record",
    words=Words("Change a DNS record", "变更 DNS 记录"),
    serves=frozenset({"dns-record"}),
    reads=("action", "domain", "rr", "type", "value", "ttl", "priority"),
    kinds=frozenset(),
    fits=fits,
    plan=plan,
    look=look,
    verify=last_is_done(look),
    undo=undo,
)
