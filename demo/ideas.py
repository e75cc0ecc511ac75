"""The demo's chances for automation: one that waits for the customer, and one that the customer refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from accounts.models import Customer, User
from changes.services import ideas
from changes.services.ideas import Idea

WAITING: Final = Idea(
    title="mall-web 日志清理改为脚本按周执行",
    what="每周由工程师登录 4 台 mall-web 手工清理 30 天前的日志，可改为经审批的脚本分批执行，并保留清理清单。",
    found_in="例行工作：月度指标评审",
    effort_hours=6,
    saving_hours=4,
)
REFUSED: Final = Idea(
    title="测试环境每晚自动关机",
    what="测试环境夜间无人使用，可用客户已有的运维编排（OOS）每晚 22:00 关机、次日 8:00 开机。",
    found_in="费用：节省建议",
    effort_hours=8,
    saving_hours=2,
    tool="阿里云运维编排 OOS",
)


def write(*, customer: Customer, engineer: User, manager: User, now: datetime) -> None:
    """`manager` is the customer's project manager, who decides."""
    refused = ideas.propose(customer=customer, idea=REFUSED, actor=engineer, now=now - timedelta(days=9))
    ideas.reject(
        idea=refused,
        reason="测试同事夜间跑批，暂不关机；明年一季度再评估。",
        actor=manager,
        now=now - timedelta(days=7),
    )
    ideas.propose(customer=customer, idea=WAITING, actor=engineer, now=now - timedelta(days=2))
