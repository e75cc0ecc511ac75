"""A server that was looked at, without one: what `data/collect.sh` prints on a system, judged and kept."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from accounts.models import User
from assets.models import Asset
from bastion.models import HardeningCheck
from bastion.services.hardening import judging, policies, runs
from bastion.services.hardening.asking import Answer
from tests.conftest import NOW

SAID = Path(__file__).parent / "hardening_said"


def looked_at(
    asset: Asset, actor: User | None, system: str = "ubuntu-22.04", *, now: datetime = NOW, text: str = ""
) -> HardeningCheck:
    run = runs.begin(customer=asset.customer, assets=[asset], actor=actor, now=now)
    check: HardeningCheck = run.checks.get()
    HardeningCheck.objects.filter(pk=check.pk).update(state="running", started_at=now)
    said = text or (SAID / f"{system}.txt").read_text()
    standard = policies.standards([asset], now=now)[asset.pk]
    check = judging.keep(check=check, answer=Answer(said), standard=standard, now=now)
    runs.advance(run_id=run.pk, clock=lambda: now)
    return check
