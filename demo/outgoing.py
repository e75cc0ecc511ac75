"""What the demo sends out: calls and SMS into the simulated exchange, announcements, and a policy that was agreed."""

from datetime import datetime, timedelta

from django.conf import settings

from accounts.models import Customer, Severity, User
from demo.aliyun.cloud import TELEPHONE
from incidents.services import announcing
from notify.services import outlets, policies


def set_up_telephone(*, now: datetime) -> None:
    """The provider's account at the simulated Alibaba Cloud; its exchange plays the people who are called."""
    details = outlets.Details(
        voice_is_on=True,
        show_number="057100001111",
        tts_code="TTS_100001",
        ivr_start_code="TTS_100002",
        ivr_bye_code="TTS_100003",
        sms_is_on=True,
        sms_sign="济通科技",
        sms_code="SMS_100001",
        endpoint_override=f"http://127.0.0.1:{settings.DEMO_CLOUD_PORT}",
    )
    values = {"access_key_id": TELEPHONE.access_key_id, "access_key_secret": TELEPHONE.access_key_secret}
    outlets.save(details=details, values=values, actor=None, now=now)


def agree_and_announce(*, customer: Customer, manager: User, now: datetime) -> None:
    """The customer wants warnings in working hours only; and what the provider has told everybody lately."""
    plan = policies.Plan(contacts=("primary",), mediums=("email", "inbox"), with_progress=False, hours="business")
    policies.save(customer=customer, severity=Severity.WARNING, plan=plan, actor=manager, now=now)
    _announce(
        announcing.Details(
            kind="maintenance",
            title="华东 1（杭州）RDS 内核升级",
            body="阿里云将在本周六 02:00–05:00 升级华东 1 可用区 H 的 RDS MySQL 内核。\n\n"
            "期间实例可能发生一次 30 秒以内的闪断，请确认应用具备重连机制。",
            ends_at=now + timedelta(days=6),
            products=["rds"],
        ),
        manager,
        now,
    )
    ended = announcing.Details(
        kind="shutdown",
        title="RDS MySQL 5.6 停止服务",
        body="阿里云将于明年 3 月停止 RDS MySQL 5.6 的服务。贵司没有 5.6 实例，无需操作。\n\n"
        "如有自建的 5.6，请联系我们安排升级。",
        ends_at=now + timedelta(days=21),
        products=["rds"],
    )
    _announce(ended, manager, now - timedelta(days=9))
    coming = announcing.Details(
        kind="platform",
        title="服务中台升级：本周日 01:00–01:30",
        body="升级期间页面可能短暂无法打开，监控与电话值守不受影响。紧急情况请拨打服务台电话。",
        ends_at=now + timedelta(days=7),
        to_channels=False,
    )
    written = announcing.save(announcement=None, details=coming, actor=manager, now=now)
    announcing.schedule(announcement=written, at=now + timedelta(days=2), actor=manager, now=now)
    draft = announcing.Details(
        kind="price_cut",
        title="ECS c8i 系列降价 15%",
        body="自下月 1 日起，阿里云下调 c8i 系列云服务器的包年包月价格。",
        recommendation="现有 c6、c7 实例可在续费时更换为 c8i，同等规格月费约降低 12%。济通科技可协助评估与迁移。",
        ends_at=now + timedelta(days=30),
        products=["ecs"],
        roles=["customer_pm"],
    )
    announcing.save(announcement=None, details=draft, actor=manager, now=now)


def _announce(details: announcing.Details, manager: User, now: datetime) -> None:
    written = announcing.save(announcement=None, details=details, actor=manager, now=now)
    announcing.schedule(announcement=written, at=None, actor=manager, now=now)
