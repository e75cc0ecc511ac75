"""The demo's ways in, and one incident that came by each of them; a stranger's mail waits for a person."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import urlencode

from accounts.models import Customer, Severity, User
from assets.models import Asset
from incidents import services
from incidents.models import ChatIdentity, InboundKind, InboundMessage, InboundSource
from incidents.services import inbound, sources
from incidents.services.inbound import Received
from incidents.services.sources import Details
from notify.inbound import mail

SERVER = "mx.rdmp.example"
SERVICE = "service@rdmp.example"
CORP_ID = "wwdemo0000000001"
AES_KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"


@dataclass(frozen=True)
class Stage:
    """Whom and what the demo's messages are about."""

    first: Customer
    second: Customer
    engineer: User
    now: datetime

    def ago(self, **by: float) -> datetime:
        return self.now - timedelta(**by)


def write(stage: Stage) -> None:
    """Make every way in and let something come in by it. Needs a platform scope."""
    _mails(stage)
    _chats(stage)
    _alarms(stage)


def _way_in(customer: Customer | None, kind: InboundKind, name: str, now: datetime, **config: object) -> InboundSource:
    values = {
        "password": "demo",
        "app_secret": f"SEC{hashlib.sha256(name.encode()).hexdigest()}",
        "token": "demo-token",
        "aes_key": AES_KEY,
    }
    severity = Severity.AVERAGE
    # Nothing listens on the demo's mail server: the mailbox is there to be looked at, and switched off.
    details = Details(name, config, severity, is_active=kind is not InboundKind.EMAIL)
    source, _address = sources.create(customer=customer, kind=kind, details=details, values=values, actor=None, now=now)
    return source


def _take(stage: Stage, source: InboundSource, received: Received, at: datetime) -> InboundMessage:
    """Let a message come in; what it opens is taken in hand some minutes later, as an engineer does."""
    stored, _is_new = inbound.store(source=source, received=received, now=at)
    read = inbound.read(message_id=stored.pk, now=at)
    if read.incident is not None and at < stage.ago(minutes=12):
        services.acknowledge(incident=read.incident, actor=stage.engineer, now=at + timedelta(minutes=4))
    return read


def _mails(stage: Stage) -> None:
    box = _way_in(
        None, InboundKind.EMAIL, "服务邮箱", stage.now, host="imap.rdmp.example", port=993, security="ssl",
        username=SERVICE, folder="INBOX", address=SERVICE, authserv=SERVER, trusts_from=False, deletes=False,
    )  # fmt: skip
    for sender, subject, text, at in (
        ("王敏 <wang@xinghai.example>", "[严重] 订单导出一直转圈", "导出超过一千行就没有结果。", stage.ago(minutes=95)),
        ("刘工 <liu@partner.example>", "接口偶尔返回 502", "下单接口今天几次返回 502。", stage.ago(minutes=6)),
    ):  # fmt: skip
        letter = EmailMessage(policy=SMTP)
        domain = sender.rpartition("@")[2].rstrip(">")
        letter["Authentication-Results"] = f"{SERVER}; dmarc=pass header.from={domain}"
        letter["From"], letter["To"], letter["Subject"] = sender, SERVICE, subject
        letter["Date"], letter["Message-ID"] = format_datetime(at), f"<demo-{at:%H%M}@{domain}>"
        letter.set_content(text)
        raw = bytes(letter)
        _take(stage, box, Received(mail.key_of(raw), raw, "message/rfc822"), at)


def _chats(stage: Stage) -> None:
    group = _way_in(stage.first, InboundKind.DINGTALK, "运维服务群机器人", stage.now)
    person = User.objects.get(email="zhao@xinghai.example")
    ChatIdentity.objects.create(
        customer=stage.first, source=group, sender_id="demo-zhao", name="赵启", user=person, bound_at=stage.ago(days=3)
    )
    _say(stage, group, ("demo-zhao", "赵启"), "[严重] 商城首页打开很慢，要十几秒", stage.ago(minutes=70))
    work = _way_in(stage.second, InboundKind.WECOM, "远帆企业微信", stage.now, corp_id=CORP_ID)
    _say(stage, work, ("hechuan", "何川"), "仓库扫码枪连不上接口了", stage.ago(minutes=52))


def _say(stage: Stage, source: InboundSource, who: tuple[str, str], text: str, at: datetime) -> None:
    sender, name = who
    received = Received(
        key=f"demo-{sender}", raw=text.encode(), content_type="text/plain", sender=name, sender_id=sender,
        conversation="demo", subject=text, text=text, data={"is_group": True},
    )  # fmt: skip
    _take(stage, source, received, at)


def _alarms(stage: Stage) -> None:
    for customer, kind, name, body, minutes, config in (
        (stage.first, InboundKind.ALERTMANAGER, "自建 Prometheus", _prometheus, 64, {}),
        (stage.first, InboundKind.CMS, "云监控回调", _cloud_monitor, 48, {}),
        (stage.second, InboundKind.GRAFANA, "物流 Grafana", _grafana, 40, {}),
        (stage.second, InboundKind.ZABBIX, "机房 Zabbix", _zabbix, 33, {}),
        (stage.second, InboundKind.GENERIC, "WMS 自检", _generic, 21, {"paths": {"title": "$.what", "key": "$.id"}}),
    ):
        source = _way_in(customer, kind, name, stage.now, **config)
        at = stage.ago(minutes=minutes)
        asset = Asset.objects.active().filter(customer=customer).exclude(provider_id="").order_by("pk").first()
        raw, content_type = body(asset.provider_id if asset else "", at)
        _take(stage, source, Received(f"demo-{kind}", raw, content_type, subject=name), at)


def _json(body: Mapping[str, object]) -> tuple[bytes, str]:
    return json.dumps(body, ensure_ascii=False).encode(), "application/json"


def _group(version: str, labels: dict[str, str], summary: str, at: datetime) -> tuple[bytes, str]:
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": summary},
        "startsAt": at.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": hashlib.sha256(summary.encode()).hexdigest()[:16],
    }
    return _json({"version": version, "status": "firing", "receiver": "rdmp", "alerts": [alert]})


def _prometheus(_instance: str, at: datetime) -> tuple[bytes, str]:
    labels = {"alertname": "QueueBacklog", "instance": "mq-01.xinghai.example:9419", "severity": "warning"}
    return _group("4", labels, "消息队列积压超过 1.2 万条", at)


def _grafana(_instance: str, at: datetime) -> tuple[bytes, str]:
    labels = {"alertname": "Latency", "grafana_folder": "WMS", "severity": "high", "host": "wms-api"}
    return _group("1", labels, "WMS 接口 P99 延迟 4.2 秒", at)


def _cloud_monitor(instance: str, at: datetime) -> tuple[bytes, str]:
    form = {
        "alertName": "磁盘使用率",
        "alertState": "ALERT",
        "curValue": "91.7",
        "dimensions": f"{{userId=1, instanceId={instance}}}",
        "expression": "$Average>=90",
        "metricName": "diskusage_utilization",
        "ruleId": "demo-disk",
        "timestamp": str(int(at.timestamp() * 1000)),
        "triggerLevel": "WARN",
    }
    return urlencode(form).encode(), "application/x-www-form-urlencoded"


def _zabbix(_instance: str, at: datetime) -> tuple[bytes, str]:
    return _json(
        {
            "event_id": "90817",
            "event_value": "1",
            "severity": "Average",
            "name": "UPS 电池剩余不足 40%",
            "host": "ups-dc1",
            "event_time": f"{int(at.timestamp())}",
            "message": "机房 UPS-1",
        }
    )


def _generic(_instance: str, _at: datetime) -> tuple[bytes, str]:
    return _json({"id": "selfcheck-7", "what": "库存同步任务连续失败 5 次"})
