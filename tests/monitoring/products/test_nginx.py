"""Nginx's stub_status on a real Nginx: its seven items, its restart, and what "test now" says of each mistake."""

from __future__ import annotations

import asyncio

import pytest

from accounts.models import Customer
from monitoring.collectors import Outcome, Problem
from monitoring.collectors.products import nginx as adapter
from monitoring.collectors.products.frame import CannotReadError
from tests.monitoring.products.alarms import states, store
from tests.monitoring.products.servers import Running
from tests.monitoring.products.visits import closed_port, earlier, figures, look, wanted
from tests.monitoring.samples import alerts, server

TENGINE = (
    "Active connections: 3 \nserver accepts handled requests request_time\n 7 7 9 120\n"
    "Reading: 0 Writing: 1 Waiting: 2 \n"
)


async def test_the_seven_items_and_the_rate(nginx: Running) -> None:
    first = await look("nginx", nginx.port)
    assert first.problem is None
    assert set(figures(first)) == wanted("Nginx")
    second = await look("nginx", nginx.port, state=earlier(first))
    assert figures(second)["nginx.requests"] == figures(first)["nginx.requests"] + 1
    assert figures(second)["nginx.requests_per_s"] == pytest.approx(1 / 60, rel=0.05)
    assert [step.name for step in second.steps] == ["resolved", "http", "figures"]


async def test_a_restart_begins_the_counters_again_and_no_rate_is_negative(nginx: Running) -> None:
    for _ in range(5):
        before = await look("nginx", nginx.port)
    nginx.restart()
    after = await look("nginx", nginx.port, state=earlier(before))
    assert figures(after)["nginx.requests"] < figures(before)["nginx.requests"]
    assert figures(after)["nginx.requests_per_s"] == pytest.approx(1 / 60, rel=0.05)


@pytest.mark.django_db
def test_a_restart_is_told_once_from_the_counters_alone_and_is_over_after_ten_minutes(
    nginx: Running, jia: Customer
) -> None:
    """stub_status has no uptime; 「连续三次 <0」 read literally would never come true."""
    asset = server(jia, name="proxy-01", kind="middleware")

    def seen() -> Outcome:
        return asyncio.run(look("nginx", nginx.port))

    for at in range(4):
        store(asset, seen(), at)
    assert states(asset) == {}
    nginx.restart()
    store(asset, seen(), 4)
    assert states(asset) == {"nginx-restarted": False}
    for at in range(5, 17):
        store(asset, seen(), at)
    assert states(asset) == {"nginx-restarted": True}
    assert len(alerts(jia)) == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [("/nowhere", "path_missing"), ("/closed", "forbidden"), ("/moved", "wrong_page"), ("/secret", "sign_in")],
)
async def test_each_mistake_has_its_own_words(nginx: Running, path: str, code: str) -> None:
    outcome = await look("nginx", nginx.port, path=path)
    assert outcome.problem is not None
    assert outcome.problem.code == code
    assert path in outcome.problem.detail
    assert figures(outcome) == {}
    assert outcome.state is None
    assert [(step.name, step.ok) for step in outcome.steps][-1] == (code, False)


async def test_a_name_that_does_not_exist_and_a_closed_port(nginx: Running) -> None:
    missing = await look("nginx", nginx.port, host="nowhere.invalid")
    assert missing.problem is not None
    assert missing.problem.code in ("dns", "local")
    assert (await look("nginx", closed_port())).problem == Problem("refused")


async def test_plain_http_behind_tls_is_told(nginx: Running) -> None:
    outcome = await look("nginx", nginx.port, tls=True)
    assert outcome.problem is not None
    assert outcome.problem.code == "tls"


async def test_an_internal_address_is_refused_unless_allowed(nginx: Running) -> None:
    assert (await look("nginx", nginx.port, trusted=False)).problem == Problem("blocked")
    assert (await look("nginx", nginx.port, trusted=False, host="localhost")).problem == Problem("blocked")


def test_tengine_has_one_figure_more() -> None:
    assert adapter.read(TENGINE)["requests"] == 9


def test_another_page_is_recognised() -> None:
    with pytest.raises(CannotReadError) as found:
        adapter.read("<html>Welcome to nginx!</html>")
    assert found.value.code == "wrong_page"
