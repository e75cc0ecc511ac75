"""The demo's scripts: the library as two people have agreed to it, and what two runs brought to light."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from accounts.models import Customer, User
from assets import keypairs
from assets.models import AccountPurpose, Asset, Credential, SshAccess
from assets.services import credentials
from assets.services.credentials import Entry
from changes.models import HostState, ScriptLine, ScriptRunState, ScriptVersion
from changes.scripts import shipped
from changes.services import script_library, script_runs
from changes.services.script_runs import Pace
from timers import services as timers

FILE: Final = Path(__file__).parent / "data" / "script_outputs.json"
WAITING: Final = "logrotate-now"
"""It waits for the second person."""


def fill_library(*, engineer: User, manager: User, now: datetime) -> None:
    for code in shipped():
        version = script_library.adopt(code=code, actor=engineer, now=now - timedelta(days=40))
        if code != WAITING:
            script_library.approve(version=version, actor=manager, now=now - timedelta(days=39))


def write(*, customer: Customer, engineer: User, now: datetime) -> None:
    """Runs that are over, or wait for somebody. The servers of the demo do not exist: what they said is made up."""
    for entry in json.loads(FILE.read_text(encoding="utf-8")):
        _play(customer, entry, engineer, now - timedelta(hours=entry["hours_ago"]))


def _play(customer: Customer, entry: Mapping[str, Any], engineer: User, now: datetime) -> None:
    names = [host["name"] for host in entry["hosts"]]
    assets = list(Asset.objects.active().filter(customer=customer, name__in=names).select_related("customer"))
    for asset in assets:
        _pin(asset, engineer, now)
    run = script_runs.plan_reading(
        customer=customer,
        version=ScriptVersion.objects.get(code=entry["script"]),
        given=entry["values"],
        assets=assets,
        reason=entry["reason"],
        pace=Pace(),
        actor=engineer,
        now=now,
    )
    run = script_runs.start(run=run, actor=engineer, now=now + timedelta(minutes=2))
    said = {host["name"]: host for host in entry["hosts"]}
    at = now + timedelta(minutes=2, seconds=3)
    for host in run.hosts.select_related("asset"):
        told = said[host.asset.name]
        if "stdout" in told:
            host.state, host.stdout, host.exit_status = HostState.DONE, told["stdout"], told["exit_status"]
            host.started_at, host.ended_at = at, at + timedelta(seconds=1)
            host.save()
    if "pauses" in entry:
        run.state, run.problem_code = ScriptRunState.PAUSED, entry["pauses"]
        run.save()
        timers.cancel(prefix=script_runs.timer_key(run))
        script_runs.write(run, ScriptLine.Kind.PAUSED, at=at + timedelta(seconds=2), code=entry["pauses"])
    else:
        script_runs.end(run, ScriptRunState.DONE, ScriptLine.Kind.DONE, now=at + timedelta(seconds=2))


def _pin(asset: Asset, engineer: User, now: datetime) -> None:
    """As if somebody had confirmed its host key and written our account down."""
    ours = Credential.objects.in_use().filter(asset=asset, purpose=AccountPurpose.OPERATIONS)
    if not ours.exclude(secret_set_at=None).exists():
        entry = Entry("key_pair", "trops", AccountPurpose.OPERATIONS)
        credentials.add(where=asset, entry=entry, actor=None, now=now)
    public = keypairs.public_half(keypairs.make())
    said = {"host": asset.private_ip or "10.0.0.1", "host_key": public, "fingerprint": keypairs.fingerprint(public)}
    SshAccess.objects.get_or_create(
        asset=asset, defaults={"customer": asset.customer, **said, "pinned_at": now, "pinned_by": engineer}
    )
