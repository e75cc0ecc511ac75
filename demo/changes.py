"""The demo's changes, one at each part of the path: played from a script through the services that people use."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from django.utils import timezone

from accounts.models import Customer, User
from accounts.windows import Once
from assets.facts import Facts
from assets.models import Asset, Environment
from assets.services import inventory
from changes.models import Change, ChangeKind
from changes.services import (
    approving,
    confirming,
    drafting,
    evidence,
    executing,
    freezing,
    restores,
    scheduling,
    templates,
)
from changes.services.drafting import Content
from changes.services.templates import Described
from incidents.models import Incident
from incidents.services import attestations

FILE: Final = Path(__file__).parent / "data" / "changes.json"
TEST_MACHINE: Final = Facts(
    kind="server",
    name="mall-staging",
    host="172.20.1.20",
    os="linux",
    environment=Environment.TEST,
    owner_name="王敏",
    owner_contact="13800000001",
    role_text="预发环境",
)
VENDOR_NOTICE: Final = "阿里云公告 2026-11-1187"


@dataclass(frozen=True)
class Cast:
    engineer: User
    manager: User
    """Whose project it is."""
    security: User
    customer: User
    """The customer's first project manager."""


@dataclass(frozen=True)
class Turn:
    """One step of the script. `said`: what stands behind its name, "schedule:16:2" is ["16", "2"]."""

    change: Change
    cast: Cast
    now: datetime
    entry: Mapping[str, Any]
    said: list[str]


Steps = Mapping[str, Callable[[Turn], object]]


def write(*, customer: Customer, cast: Cast, now: datetime) -> list[Change]:
    """Draft every change of the script and take it as far as the script goes. Needs a scope."""
    inventory.create_manual(customer=customer, facts=TEST_MACHINE, actor=cast.engineer, now=now)
    live = inventory.Ownership(environment=Environment.PRODUCTION)
    shop = Asset.objects.active().cloud().filter(customer=customer, name__startswith="mall-")
    inventory.set_owner(assets=shop, ownership=live, actor=cast.engineer, now=now)
    _describe_standard(customer, cast, now - timedelta(days=20))
    made = [play(customer, entry, cast, now, DOES) for entry in json.loads(FILE.read_text(encoding="utf-8"))]
    day = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=11)
    sale = Once(day, day + timedelta(days=2))
    freezing.create(
        customer=customer, kind="freeze", name="双十二大促封网", windows=[sale], actor=cast.manager, now=now
    )
    return made


def _describe_standard(customer: Customer, cast: Cast, now: datetime) -> None:
    """A standard change in force, used once; another waits for its signature."""
    shop = tuple(Asset.objects.active().filter(customer=customer, name__in=("mall-web-01", "mall-web-02")))
    for name, signs in (("轮转 mall-web 的 nginx 日志", True), ("重启 mall-web 的 nginx", False)):
        described = Described(
            name=name,
            operation="linux-middleware",
            fields={"product": "nginx", "version": "1.24", "settings": name},
            assets=shop,
            plan="摘除一台，执行，检查后挂回，再做下一台。",
            rollback="恢复原配置并重新加载。",
            risk_text="逐台进行，期间容量减少一半，约 1 分钟。",
            valid_until=timezone.localdate(now) + timedelta(days=365),
        )
        template = templates.create(customer=customer, said=described, actor=cast.engineer, now=now)
        if signs and template.attestation is not None:
            attestations.sign(attestation=template.attestation, actor=cast.customer, ip="192.0.2.10", now=now)
            template = templates.approve(template=template, actor=cast.manager, now=now)
            wanted = Incident.objects.for_both_sides().unsolved().filter(customer=customer).earliest("opened_at")
            used = drafting.draft_standard(
                template=template, assets=shop[:1], incident=wanted, actor=cast.engineer, now=now
            )
            drafting.submit(change=used, actor=cast.engineer, now=now)


def play(customer: Customer, entry: Mapping[str, Any], cast: Cast, now: datetime, does: Steps) -> Change:
    """One change of a script, taken as far as its steps go, 25 minutes apart."""
    at = now - timedelta(hours=entry["hours_ago"])
    assets = tuple(Asset.objects.active().filter(customer=customer, name__in=entry["assets"]))
    change = drafting.draft(
        customer=customer,
        content=Content(
            title=entry["title"],
            operation=entry["operation"],
            fields=entry["fields"],
            assets=assets,
            risk=entry["risk"],
            reason=entry["reason"],
            plan=entry["plan"],
            rollback=entry["rollback"],
        ),
        kind=ChangeKind.NORMAL,
        origin=Change.Origin.CLOUD_VENDOR,
        vendor_notice=VENDOR_NOTICE,
        actor=cast.engineer,
        now=at,
    )
    for step in entry["steps"]:
        name, *said = step.split(":")
        at += timedelta(minutes=25)
        does[name](Turn(Change.objects.get(pk=change.pk), cast, at, entry, said))
    return change


def _sign(turn: Turn) -> None:
    asked = turn.change.confirmation
    assert asked is not None  # noqa: S101 - the script tells the risk before
    attestations.sign(attestation=asked, actor=turn.cast.customer, ip="192.0.2.10", now=turn.now)
    confirming.answered(attestation_id=asked.pk, now=turn.now)


def _test(turn: Turn) -> None:
    machine = Asset.objects.get(customer=turn.change.customer_id, name=TEST_MACHINE.name)
    evidence.record_test(
        change=turn.change,
        asset=machine,
        has_passed=True,
        what="按同样步骤执行，服务正常，回退步骤也已演练。",
        tested_at=turn.now,
        actor=turn.cast.engineer,
        now=turn.now,
    )


def _backup(turn: Turn) -> None:
    for number, asset in enumerate(turn.change.assets.order_by("pk")):
        evidence.record_backup(
            change=turn.change,
            asset=asset,
            method="snapshot",
            reference=f"s-bp1demo{turn.change.pk:04d}{number}",
            sha256="",
            taken_at=turn.now,
            actor=turn.cast.engineer,
            now=turn.now,
        )


def _approve(turn: Turn) -> None:
    """Every level, one after the other."""
    people = (turn.cast.manager, turn.cast.security, turn.cast.customer)
    while (waiting := [one for one in people if _is_asked(turn, one)]) != []:
        _decide(turn, waiting[0])


def _is_asked(turn: Turn, person: User) -> bool:
    return turn.change.pk in {one.pk for one in approving.waiting_for(person, now=turn.now)}


def _decide(turn: Turn, person: User) -> None:
    approving.decide(change=turn.change, is_yes=True, words="同意。", actor=person, now=turn.now)


def _schedule(turn: Turn) -> None:
    hours, length = (float(said) for said in turn.said)
    ahead = turn.now if hours < 0 else timezone.localtime(turn.now).replace(minute=0, second=0, microsecond=0)
    starts = ahead + (timedelta(minutes=10) if hours < 0 else timedelta(hours=hours))
    scheduling.schedule(
        change=turn.change,
        starts_at=starts,
        ends_at=starts + timedelta(hours=length),
        actor=turn.cast.engineer,
        now=turn.now,
    )


def _check(turn: Turn) -> None:
    """Everything that has to be looked at where it stands."""
    turn.change.refresh_from_db()
    for point in turn.change.points:
        given = {field.name: PROOF[field.name] for field in point.evidence if field.required}
        evidence.check(
            change=turn.change, code=point.code, words="", given=given, actor=turn.cast.engineer, now=turn.now
        )


def _roll_back(turn: Turn) -> None:
    _check(turn)
    executing.roll_back(
        change=turn.change,
        result=turn.entry["result"],
        verified_by=turn.cast.manager,
        actor=turn.cast.engineer,
        now=turn.now,
    )


PROOF: Final[Mapping[str, object]] = {
    "services_before": "nginx 80、443，sshd 22，业务进程正常。",
    "services_after": "nginx 80、443，sshd 22，与变更前一致。",
    "restored_seen": "数据行数与备份时刻一致，抽查 20 条正确。",
    "rules_before": "入方向：80、443、8080、9000 允许 0.0.0.0/0。",
    "reached": "办公网 → 80、443 可达",
    "shut": "公网 → 8080、9000 不可达",
    "failed_seen": "服务反复重启，站点返回 502，自开始实施后持续。",
    "failed_told_to": "已电话告知客户项目经理，并在变更中说明。",
    "restored_what": "原配置文件与启动参数。",
    "restored_from": "实施前快照",
    "restored_services_seen": "端口与进程同变更前，站点返回 200。",
}


DOES: Final[Steps] = {
    "submit": lambda turn: drafting.submit(change=turn.change, actor=turn.cast.engineer, now=turn.now),
    "tell": lambda turn: confirming.tell_risk(
        change=turn.change, text=turn.entry["text"], actor=turn.cast.engineer, now=turn.now
    ),
    "sign": _sign,
    "test": _test,
    "backup": _backup,
    "approve": _approve,
    "owner": lambda turn: _decide(turn, turn.cast.manager),
    "customer": lambda turn: _decide(turn, turn.cast.customer),
    "schedule": _schedule,
    "begin": lambda turn: executing.begin(change=turn.change, actor=turn.cast.engineer, now=turn.now),
    "check": _check,
    "instance": lambda turn: restores.record(
        change=turn.change,
        source=turn.change.assets.get(),
        name=turn.entry["instance"],
        address="",
        restore_minutes=41,
        actor=turn.cast.engineer,
        now=turn.now,
    ),
    "fail": lambda turn: executing.fail(
        change=turn.change, reason=turn.entry["failed"], actor=turn.cast.engineer, now=turn.now
    ),
    "roll_back": _roll_back,
    "finish": lambda turn: executing.finish_work(
        change=turn.change, result=turn.entry["result"], actor=turn.cast.engineer, now=turn.now
    ),
    "sign_off": lambda turn: executing.sign_off(
        change=turn.change, words="已验证，正常。", actor=turn.cast.customer, now=turn.now
    ),
}
