"""A host's state from the running agent to events and alerts: once each, nothing on the first reading, nothing lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, Severity
from monitoring.agent.state import FRESH_S
from monitoring.collectors import Outcome, Problem, hoststate
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.config.machines import StateConfig
from monitoring.collectors.network import Guard
from monitoring.models import Alert, Event, HostReading, Target
from monitoring.services import claims, hosts, poll, targets
from tests.machine import users_to_ourselves
from tests.monitoring.probes import figures, job_for
from tests.monitoring.samples import minute, server
from tests.monitoring.test_agent import TOKEN, agent
from tests.monitoring.test_collectors_prometheus import exporter

pytestmark = pytest.mark.django_db


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Files of a host that the tests may change: a configuration, a log, a script."""
    (tmp_path / "app.conf").write_text("workers = 4\npassword = geheim\n")
    (tmp_path / "app.log").write_text("")
    scripts = tmp_path / "scripts"
    scripts.mkdir(mode=0o755)
    (scripts / "queue.sh").write_text('#!/bin/sh\necho "depth 7"; echo \'lag{topic="pay"} 2.5\'\n')
    (scripts / "queue.sh").chmod(0o755)
    (tmp_path / "agent.toml").write_text(
        f'conf = ["{tmp_path}/*.conf"]\nscripts_dir = "{scripts}"\n'
        f'[[log]]\nname = "app"\nfiles = "{tmp_path}/app.log"\nkeywords = ["ERROR"]\n'
        '[[script]]\nname = "queue"\nfile = "queue.sh"\n'
    )
    return tmp_path


@pytest.fixture
def port(place: Path) -> Iterator[int]:
    with agent(RDMP_AGENT_CONFIG=str(place / "agent.toml")) as (_, number):
        yield number


def target_of(customer: Customer, port: int, **config: object) -> Target:
    with scope.customer(customer):
        return targets.create(
            asset=server(customer),
            kind="state",
            config={"url": f"http://127.0.0.1:{port}/state", **config},
            token=TOKEN,
            allow_internal=True,
            actor=None,
            now=minute(0),
        )


def look(customer: Customer, target: Target, now: datetime) -> Outcome:
    """One poll of the target, as the worker does it."""
    time.sleep(FRESH_S)  # the agent reads at most once in so long
    with scope.customer(customer):
        target.refresh_from_db()
        [outcome] = poll.run("state", [target], now=now)
        hosts.take([target], [outcome], now=now)
        Target.objects.filter(pk=target.pk).update(state=outcome.state or {})
    return outcome


def told(customer: Customer, *kinds: str) -> list[Event]:
    with scope.customer(customer):
        return list(Event.objects.filter(kind__in=kinds).order_by("pk"))


def test_a_changed_configuration_is_an_event_with_its_diff_and_an_alert(jia: Customer, port: int, place: Path) -> None:
    target = target_of(jia, port)
    first = look(jia, target, minute(0))
    assert first.problem is None
    assert told(jia, "host-config") == []
    (place / "app.conf").write_text("workers = 8\npassword = neues\n")
    now = datetime.now(minute(0).tzinfo)
    look(jia, target, now)
    look(jia, target, now + timedelta(minutes=1))
    [event] = told(jia, "host-config")
    assert "+workers = 8" in event.detail["diff"]
    assert "geheim" not in str(event.detail)
    assert "neues" not in str(event.detail)
    assert event.severity == Severity.WARNING
    with scope.customer(jia):
        [alert] = Alert.objects.filter(rule_id="host-config")
        assert alert.is_open
        hosts.take([target], [look(jia, target, now + timedelta(hours=25))], now=now + timedelta(hours=25))
        alert.refresh_from_db()
        assert alert.ending == "passed"


def test_a_target_may_leave_a_change_without_an_alert(jia: Customer, port: int, place: Path) -> None:
    target = target_of(jia, port, alerts=["host-password"])
    look(jia, target, minute(0))
    (place / "app.conf").write_text("workers = 16\n")
    look(jia, target, datetime.now(minute(0).tzinfo))
    [event] = told(jia, "host-config")
    assert event.severity is None
    with scope.customer(jia):
        assert not Alert.objects.exists()


def test_log_keywords_and_scripts_are_figures(jia: Customer, port: int, place: Path) -> None:
    target = target_of(jia, port)
    first = look(jia, target, minute(0))
    with (place / "app.log").open("a") as log:
        log.write("ERROR one\nERROR two\n")
    with scope.customer(jia):
        earlier = {**(first.state or {})}
        earlier["counters"] = {**earlier["counters"], "at": earlier["counters"]["at"] - 60}
        Target.objects.filter(pk=target.pk).update(state=earlier)
    shown = figures(look(jia, target, minute(1)))
    labels = f'file="{place}/app.log",keyword="ERROR",log="app"'
    assert shown[f"host.log.keyword_total{{{labels}}}"] == 2
    assert shown[f"host.log.keyword_per_min{{{labels}}}"] == pytest.approx(2, rel=0.1)
    assert shown["custom.queue.depth"] == 7
    assert shown['custom.queue.lag{topic="pay"}'] == 2.5
    assert shown['script.exit_code{script="queue"}'] == 0


def test_an_unchanged_host_costs_no_texts_and_keeps_one_row(jia: Customer, port: int) -> None:
    target = target_of(jia, port)
    with users_to_ourselves():
        first, second = look(jia, target, minute(0)), look(jia, target, minute(1))
    assert first.reading is not None
    assert second.reading is not None
    assert len(first.reading["texts"]) >= 1
    assert second.reading["texts"] == {}
    with scope.customer(jia):
        row = HostReading.objects.get()
        assert (row.version, row.changed_at) == (0, None)
        assert row.kept_texts() == first.reading["texts"]


def test_a_worker_that_died_after_telling_tells_nothing_twice(jia: Customer, port: int, place: Path) -> None:
    target = target_of(jia, port)
    look(jia, target, minute(0))
    (place / "app.conf").write_text("workers = 9\n")
    with scope.customer(jia):
        before = Target.objects.get(pk=target.pk).state
        look(jia, target, minute(1))
        Target.objects.filter(pk=target.pk).update(state=before)  # its settling was lost
        look(jia, target, minute(2))
    assert len(told(jia, "host-config")) == 1


def test_the_beat_claims_collects_and_compares(jia: Customer, port: int) -> None:
    target = target_of(jia, port)
    with scope.platform("the beat"):
        [work] = claims.claim(now=timezone.now())
    assert work.kind == "state"
    with scope.customer(jia):
        assert poll.collect(work) > 0
        target.refresh_from_db()
        assert target.last_ok_at is not None
        assert target.state["texts"]
        assert HostReading.objects.get().asset_id == target.asset_id


async def test_an_old_agent_and_a_wrong_token_are_told_apart() -> None:
    async def page(request: object) -> object:
        raise AssertionError("not asked")

    async with exporter(page) as url:  # type: ignore[arg-type]  # never called
        [old] = await hoststate.collect([job_for(StateConfig(url.replace("/metrics", "/state")))], guard=Guard())
    assert old.problem == Problem("old_agent", "HTTP 404")
    with agent() as (_, number):
        config = StateConfig(f"http://127.0.0.1:{number}/state")
        [wrong] = await hoststate.collect([job_for(config, token="wrong")], guard=Guard())
        [inside] = await hoststate.collect([job_for(config, token=TOKEN, trusted=False)], guard=Guard())
    assert wrong.problem == Problem("unauthorised", "HTTP 401")
    assert inside.problem == Problem("blocked")


@pytest.mark.parametrize("alerts", ["host-password", ["everything"]])
def test_only_known_changes_can_raise_alerts(alerts: object) -> None:
    with pytest.raises(ConfigError):
        StateConfig("http://10.0.0.1:9101/state", alerts=alerts)  # type: ignore[arg-type]  # what a form might send
