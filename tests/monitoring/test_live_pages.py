"""Lists and pages that show at once what others do: what a page listens to, and what says it."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from monitoring.collectors.config import Kind
from monitoring.models import Target
from monitoring.rules import RULES
from monitoring.services import macros, outlooks, overrides, silences, targets
from monitoring.services.overrides import Wish
from notify import live
from tests.conftest import ClientFor
from tests.monitoring.samples import START, minute, server
from tests.monitoring.test_silences import quiet, turn

pytestmark = pytest.mark.django_db
CPU = RULES["host-cpu-util"]
LIVE = re.compile(r'<div[^>]* data-live="([^"]+)"[^>]*>')


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


@pytest.fixture
def browser(chen: User, client_for: ClientFor) -> Client:
    return client_for(chen)


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What open pages are told: topics and customers."""
    said: list[tuple[str, int]] = []
    monkeypatch.setattr(live, "publish", lambda *, customer_id, topic, object_id: said.append((topic, customer_id)))
    return said


def told(hints: list[tuple[str, int]]) -> set[tuple[str, int]]:
    found = set(hints)
    hints.clear()
    return found


def port_of(asset: Asset) -> Target:
    with scope.customer(asset.customer_id):
        config = {"host": "203.0.113.7", "port": 80}
        return targets.create(asset=asset, kind=Kind.TCP, config=config, actor=None, now=START)


# --- what pages listen to ------------------------------------------------------------------------------------------


def listens(browser: Client, address: str) -> set[str]:
    """The topics of a page; each of its live elements is found again in the answer to its own question, once."""
    page = browser.get(address).content.decode()
    topics: set[str] = set()
    for element in LIVE.finditer(page):
        marks = dict(re.findall(r'([a-z-]+)="([^"]*)"', element.group()))
        if marks.get("hx-get", "").startswith(address.partition("?")[0]) and "hx-select" in marks:
            again = browser.get(marks["hx-get"].replace("&amp;", "&"), headers={"HX-Request": "true"}).content.decode()
            for name in (marks["hx-select"], *marks.get("hx-select-oob", "").split(",")):
                assert not name or again.count(f'id="{name.removeprefix("#")}"') == 1
            topics |= set(element[1].split())
    return topics


def test_silences_and_the_page_of_one_are_live(browser: Client, jia: Customer, web: Asset, chen: User) -> None:
    silence = quiet(jia, chen)
    assert "silences" in listens(browser, "/monitoring/silences/")
    assert {"silences", "alerts"} <= listens(browser, f"/monitoring/silences/{silence.pk}/")


def test_rules_and_the_page_of_one_are_live(browser: Client, jia: Customer, web: Asset, chen: User) -> None:
    with scope.customer(jia):
        overrides.override(
            customer=jia, rule=CPU, wish=Wish(thresholds=(50.0,)), reason="x", actor=chen, now=START, asset=web
        )
    assert "rules" in listens(browser, "/monitoring/rules/")
    assert {"rules", "alerts"} <= listens(browser, f"/monitoring/rules/{CPU.id}/?customer={jia.pk}")


def test_a_target_is_live(browser: Client, web: Asset) -> None:
    assert "targets" in listens(browser, f"/monitoring/targets/{port_of(web).pk}/")


@pytest.mark.parametrize(
    ("address", "topics"),
    [("/monitoring/expiry/", {"assets", "targets", "events"}), ("/monitoring/outlook/", {"outlooks"})],
)
def test_what_ends_and_what_fills_is_live(browser: Client, jia: Customer, address: str, topics: set[str]) -> None:
    assert topics <= listens(browser, address)


# --- what says it --------------------------------------------------------------------------------------------------


def test_a_silence_says_when_it_is_made_turns_and_ends(
    jia: Customer, web: Asset, chen: User, hints: list[tuple[str, int]]
) -> None:
    silence = quiet(jia, chen, start=5)
    assert ("silences", jia.pk) in told(hints)
    turn(jia, silence, 5)
    assert ("silences", jia.pk) in told(hints)
    with scope.customer(jia):
        silences.end(silence=silence, actor=chen, now=minute(6))
    assert ("silences", jia.pk) in told(hints)


def test_whatever_makes_rules_hold_otherwise_says_so(
    jia: Customer, web: Asset, chen: User, hints: list[tuple[str, int]]
) -> None:
    with scope.customer(jia):
        row = overrides.override(
            customer=jia, rule=CPU, wish=Wish(thresholds=(50.0,)), reason="x", actor=chen, now=START
        )
        assert told(hints) == {("rules", jia.pk)}
        overrides.restore(override=row, reason="x", actor=chen, now=START)
        assert told(hints) == {("rules", jia.pk)}
        macros.save(customer=jia, name="CPU.HIGH", value="80", reason="x", actor=chen, now=START)
        assert told(hints) == {("rules", jia.pk)}


def test_a_target_says_when_it_is_made_changed_switched_and_removed(
    jia: Customer, web: Asset, root: User, hints: list[tuple[str, int]]
) -> None:
    said = {("targets", jia.pk)}
    target = port_of(web)
    assert told(hints) == said
    with scope.customer(jia):
        targets.change(target=target, config=target.config, name="x", period_s=30, actor=root, now=minute(1))
        assert told(hints) == said
        targets.set_enabled(target=target, enabled=False, actor=root, now=minute(2))
        assert told(hints) == said
        targets.set_enabled(target=target, enabled=False, actor=root, now=minute(2))
        assert told(hints) == set(), "nothing changed"
        targets.set_internal(target=target, allowed=True, reason="x", actor=root, now=minute(3))
        assert told(hints) == said
        targets.remove(target=target, actor=root, now=minute(4))
        assert told(hints) == said


def test_outlooks_say_when_they_were_worked_out(jia: Customer, hints: list[tuple[str, int]]) -> None:
    outlooks.run(now=START)
    assert told(hints) == {("outlooks", jia.pk)}
