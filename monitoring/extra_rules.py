"""Alerts that come from no rule of the SOW's table: silence, events, expiry. Pure: ids, names, default severities.

One line per kind of alert; whoever opens one of a new kind adds its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

NO_DATA: Final = "no-data"
CLOUD_NO_DATA: Final = "cms-no-data"


@dataclass(frozen=True, slots=True)
class ExtraRule:
    """What such an alert is called, and how bad it is unless whoever opens it knows better."""

    id: str
    name_zh: str
    name_en: str
    severity: str
    product: str = ""

    def name(self, language: str) -> str:
        return self.name_zh if language.startswith("zh") else self.name_en


_ALL: Final = (
    ExtraRule(NO_DATA, "采集中断", "No data from the agent", "average"),
    ExtraRule(CLOUD_NO_DATA, "云监控无数据", "No data from CloudMonitor", "average"),
    ExtraRule("url-region", "部分地区无法访问", "Not reachable from one place", "warning", "Website"),
    ExtraRule("tls-expiry", "TLS 证书即将到期", "TLS certificate expires", "average", "Website"),
    ExtraRule("tls-failed", "TLS 证书无效", "TLS certificate not valid", "high", "Website"),
    ExtraRule("dns-failed", "域名解析异常", "DNS check failed", "average", "Website"),
    ExtraRule("domain-failed", "域名未注册", "Domain not registered", "average", "Website"),
    ExtraRule("domain-expiry", "域名即将到期", "Domain expires", "average", "Website"),
    ExtraRule("expiry", "云资源即将到期", "Cloud resource expires", "average"),
    ExtraRule("cloud-event", "云产品系统事件", "Cloud system event", "average"),
    ExtraRule("security-event", "云安全中心告警", "Security Center event", "average"),
    ExtraRule("maintenance", "云平台计划维护", "Planned maintenance by the cloud", "warning"),
    ExtraRule("account-refused", "云账号凭证失效", "Cloud credentials refused", "average"),
    ExtraRule("host-changed", "主机状态变更", "Host changed", "warning"),
    ExtraRule("host-password", "主机密码变更", "Password on a host changed", "high", "Linux/Windows"),
    ExtraRule("host-account", "主机用户变更", "User on a host changed", "high", "Linux/Windows"),
    ExtraRule("host-sudo", "主机 sudo 权限变更", "Sudo rights on a host changed", "high", "Linux/Windows"),
    ExtraRule("host-config", "主机配置文件变更", "Configuration of a host changed", "warning", "Linux/Windows"),
    ExtraRule("host-firewall", "主机防火墙规则变更", "Firewall of a host changed", "average", "Linux/Windows"),
    ExtraRule("host-hostname", "主机名变更", "Name of a host changed", "average", "Linux/Windows"),
    ExtraRule("log-keyword", "日志关键字告警", "Keyword in a log", "average"),
    ExtraRule("custom-script", "自定义脚本告警", "Custom script", "average"),
    ExtraRule("db-event", "数据库事件", "Database event", "average"),
    ExtraRule("platform", "平台自身告警", "The platform itself", "average"),
)
EXTRA_RULES: Final[Mapping[str, ExtraRule]] = {rule.id: rule for rule in _ALL}
