"""What stands around the first customer's servers: rules for commands, a wish that waits, weeks of hardening checks."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from accounts.models import Customer, User
from assets.models import Asset
from bastion.models import CommandRule, HardeningCheck, HardeningRun, ResourceGroup
from bastion.services import groups, requesting, ruling
from bastion.services.hardening import judging, policies
from bastion.services.hardening.asking import Answer
from bastion.services.requesting import Asked
from demo import hosts

SAID: Final = Path(__file__).parent / "data" / "hardening"
WEEKS: Final = 5
MENDED: Final = 2
"""Weeks ago that the first server was put in order."""


def write(*, customer: Customer, manager: User, engineers: tuple[User, User], now: datetime) -> None:
    """`manager`: the customer's, who decides; the second engineer wishes for what they may not yet."""
    ruling.take_usual(customer=customer, actor=manager, now=now - timedelta(days=30))
    for rule in CommandRule.objects.filter(customer=customer):
        ruling.switch(rule=rule, is_on=True, actor=manager, now=now - timedelta(days=30))
    group = ResourceGroup.objects.filter(customer=customer).order_by("pk")[0]
    groups.name_administrator(group=group, person=manager, actor=manager, now=now)
    servers = list(Asset.objects.active().filter(customer=customer, name__in=hosts.ADDRESSES).order_by("name"))
    asked = Asked(account="trops", minutes=120, reason="核对商品图片任务的日志")
    requesting.ask(person=engineers[1], asset=servers[-1], asked=asked, now=now - timedelta(minutes=12))
    _weeks(customer, servers, now)


def _weeks(customer: Customer, servers: list[Asset], now: datetime) -> None:
    """Checks of some Sundays: what servers said, judged as it always is; the first one was mended on the way."""
    before, after = ((SAID / name).read_text(encoding="utf-8") for name in ("before.txt", "after.txt"))
    for week in range(WEEKS, 0, -1):
        at = now - timedelta(weeks=week)
        run = HardeningRun.objects.create(
            customer=customer, why=HardeningRun.Why.WEEKLY, started_at=at, ended_at=at + timedelta(minutes=2),
            state=HardeningRun.State.DONE,
        )  # fmt: skip
        standards = policies.standards(servers, now=at)
        for number, server in enumerate(servers):
            check = HardeningCheck.objects.create(
                customer=customer, run=run, asset=server, state=HardeningCheck.State.RUNNING, started_at=at
            )
            said = after if number == 0 and week <= MENDED else before
            judging.keep(check=check, answer=Answer(text=said), standard=standards[server.pk], now=at)
