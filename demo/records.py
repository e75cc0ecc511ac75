"""The demo's records of both sides: violations, a fault and its review, a cause, time with Alibaba Cloud, readings."""

from __future__ import annotations

from datetime import datetime, timedelta

from accounts.models import Customer, User
from accounts.services import profile
from assets.models import Asset
from incidents import services
from incidents.models import (
    AnnouncementCopy,
    CauseNotice,
    FaultDecision,
    InboundKind,
    InboundMessage,
    Incident,
    ResponderNotice,
    ThirdPartyTime,
    Violation,
)
from incidents.services import announcing, causes, faults, responders, third_parties, violations
from incidents.stages import Stage

Verdict = FaultDecision.Verdict
PROGRESS: dict[str, tuple[str, ...]] = {
    InboundKind.EMAIL: (
        "已在测试环境复现：导出一次查询全部订单行，超过网关 60 秒超时。",
        "改为分批导出的补丁已在测试环境通过，等待今晚发布；此前请分月导出。",
    ),
    InboundKind.DINGTALK: (
        "首屏慢是静态资源未命中 CDN，昨晚发布改了文件名。已开始预热。",
        "预热完成 80%，首屏已降到 4 秒，预计 20 分钟内恢复正常。",
    ),
    InboundKind.WECOM: ("扫码枪所用接口的证书链缺少中间证书，正在替换。",),
    InboundKind.ALERTMANAGER: ("积压来自物流轨迹消费者，已临时扩容到 6 个实例，积压每分钟减少约 800 条。",),
    InboundKind.CMS: ("占用空间的是未轮转的应用日志，已清理 40 GB，正在补上日志轮转。",),
    InboundKind.GRAFANA: ("延迟集中在库存查询接口，已定位到缺失的缓存，正在回滚昨天的配置。",),
    InboundKind.ZABBIX: ("已联系机房现场检查 UPS-1 电池组，市电正常。",),
    InboundKind.GENERIC: ("同步任务因对方接口限流失败，已联系对方放宽限额。",),
}
"""What the engineer has told of an incident since it was acknowledged, by the way in that it came."""
SAID_LAST = timedelta(minutes=2)


def tell_progress(*, engineer: User, now: datetime) -> None:
    """Whoever has an incident in hand has said in time how far it is: the demo opens without missed stage reports."""
    for message in InboundMessage.objects.exclude(incident=None).select_related("source", "incident__customer"):
        incident = message.incident
        if incident is None or incident.acknowledged_at is None:
            continue
        words = PROGRESS[message.source.kind]
        apart = (now - SAID_LAST - incident.acknowledged_at) / len(words)
        for number, body in enumerate(words, start=1):
            stage = Stage.DIAGNOSED if number == 1 else None
            at = incident.acknowledged_at + number * apart
            services.report_stage(incident=incident, stage=stage, body=body, actor=engineer, now=at)


def record(*, customer: Customer, engineer: User, manager: User, now: datetime) -> None:
    """What both sides put on record of the first customer. Needs a platform scope."""
    first, second = User.objects.filter(customer=customer, role="customer_pm").order_by("pk")[:2]
    _violations(customer, (engineer, manager), first, now)
    _faults(customer, manager, (first, second), now)
    notices = CauseNotice.objects.filter(incident__customer=customer).select_related("incident__customer")
    told = notices.earliest("pk")
    words = "认可。促销列表接口已补索引，发布检查单同步更新。"
    at = told.sent_at + timedelta(hours=2)
    causes.answer(notice=told, answer=CauseNotice.Answer.ACKNOWLEDGED, words=words, actor=first, now=at)
    _with_aliyun(customer, engineer, now)
    _read(customer, first, now)


def _violations(customer: Customer, ours: tuple[User, User], theirs: User, now: datetime) -> None:
    engineer, manager = ours
    order = Asset.objects.filter(customer=customer, name="mall-order").first()
    at = now - timedelta(days=5, hours=2)
    seen = violations.record(
        customer=customer,
        side=Violation.Side.CUSTOMER,
        rule=Violation.Rule.NOT_REQUESTED,
        who="开发组 刘洋",
        asset=order,
        what="未提交服务请求，自行用应用账号在 mall-order 执行 ALTER TABLE，锁表 40 秒。",
        consequence="下单接口 40 秒内超时 312 次。",
        evidence="数据库审计日志 11:02:17–11:02:57。",
        happened_at=at,
        actor=engineer,
        now=at + timedelta(hours=1),
    )
    violations.answer(
        violation=seen,
        answer=Violation.Answer.ACKNOWLEDGED,
        words="已与开发组确认，今后结构变更一律走服务请求。",
        actor=theirs,
        now=at + timedelta(hours=5),
    )
    at = now - timedelta(days=2, hours=4)
    violations.record(
        customer=customer,
        side=Violation.Side.PROVIDER,
        rule=Violation.Rule.DIRECT_WORK,
        who="周苇",
        what="未建事件单即重启 mall-job-01 上的定时任务，事后才在群里说明。",
        consequence="当晚对账任务晚 20 分钟完成。",
        happened_at=at,
        actor=theirs,
        now=at + timedelta(hours=3),
    )
    at = now - timedelta(hours=7)
    violations.record(
        customer=customer,
        side=Violation.Side.CUSTOMER,
        rule=Violation.Rule.NOT_OWNER,
        who="运营部 何婷",
        what="直接电话要求值班工程师修改商城首页跳转，来电人不在服务联系人名单内。",
        evidence="值班电话录音 00:03:12。",
        happened_at=at,
        actor=manager,
        now=at + timedelta(minutes=30),
    )


def _faults(customer: Customer, manager: User, theirs: tuple[User, User], now: datetime) -> None:
    """One that both sides decided, and one on which the customer has not spoken yet."""
    past = Incident.objects.filter(customer=customer, state="closed", severity=2).order_by("pk")[0]
    at = now - timedelta(days=2)
    summary = "促销列表的慢查询占满数据库连接，约 38% 的下单请求失败。"
    fault = faults.propose(
        incident=past,
        title="商城下单失败 45 分钟",
        summary="促销列表的慢查询占满数据库连接，约 38% 的下单请求失败。",
        actor=manager,
        now=at,
    )
    said = (
        (manager, "达到故障标准：核心业务部分中断超过 30 分钟。"),
        (theirs[0], "同意认定为故障，原因在应用侧，改进项见跟进任务。"),
    )
    for number, (person, words) in enumerate(said, start=1):
        faults.decide(fault=fault, verdict=Verdict.FAULT, words=words, actor=person, now=at + timedelta(hours=number))
    slow = _came_by(InboundKind.DINGTALK, customer)
    if slow is not None:
        at = now - timedelta(minutes=25)
        summary = "发布后静态资源文件名变化，CDN 未预热，首页首屏 12–15 秒，业务仍可使用。"
        review = faults.propose(incident=slow, title="商城首页打开缓慢", summary=summary, actor=theirs[1], now=at)
        words = "业务未中断，建议按事件处理，不认定为故障。"
        faults.decide(
            fault=review, verdict=Verdict.NOT_FAULT, words=words, actor=manager, now=at + timedelta(minutes=9)
        )


def _with_aliyun(customer: Customer, engineer: User, now: datetime) -> None:
    incident = _came_by(InboundKind.CMS, customer)
    if incident is None:
        return
    stretch = third_parties.hand_over(
        incident=incident,
        party=ThirdPartyTime.Party.ALIYUN,
        ticket="20261187",
        note="请阿里云核对云盘监控数值与系统内 df 的差异。",
        started_at=now - timedelta(minutes=40),
        actor=engineer,
        now=now - timedelta(minutes=39),
    )
    third_parties.take_back(
        stretch=stretch,
        answered_at=now - timedelta(minutes=31),
        ended_at=now - timedelta(minutes=20),
        note="阿里云确认为监控延迟 3 分钟，数值一致。",
        actor=engineer,
        now=now - timedelta(minutes=20),
    )
    incident = _came_by(InboundKind.ALERTMANAGER, customer)
    if incident is not None:
        third_parties.hand_over(
            incident=incident,
            party=ThirdPartyTime.Party.THIRD_PARTY,
            name="轨迹数据供应商",
            ticket="GJ-5521",
            started_at=now - timedelta(minutes=15),
            actor=engineer,
            now=now - timedelta(minutes=14),
        )


def _came_by(kind: InboundKind, customer: Customer) -> Incident | None:
    found = InboundMessage.objects.filter(source__kind=kind, customer=customer).exclude(incident=None)
    message = found.select_related("incident__customer").first()
    return None if message is None else message.incident


def _read(customer: Customer, person: User, now: datetime) -> None:
    for copy in AnnouncementCopy.objects.filter(customer=customer, published_at__lt=now - timedelta(days=1)):
        announcing.read(copy=copy, person=person, now=copy.published_at + timedelta(hours=1))


def tell_of_responders(*, customer: Customer, changed: User, manager: User, now: datetime) -> None:
    """The customer was told our contact data in writing; since then one telephone number has changed (R183)."""
    number = changed.phone
    profile.update(person=changed, name=changed.name, phone="13900000030", language=changed.language, now=now)
    at = now - timedelta(days=20)
    notice = responders.look(customer=customer, now=at)
    if notice is not None:
        responders.record_given(
            notice=notice,
            how=ResponderNotice.How.MEETING,
            given_at=at + timedelta(hours=2),
            evidence="项目启动会纪要第 3 项，双方签字。",
            actor=manager,
            now=at + timedelta(hours=3),
        )
    profile.update(person=changed, name=changed.name, phone=number, language=changed.language, now=now)
    responders.look(customer=customer, now=now)
