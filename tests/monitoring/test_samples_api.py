"""Figures sent by scripts over the API: into one's own assets, once, within limits, and judged."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import scope
from accounts.models import ApiToken, Customer, User
from accounts.services import tokens
from assets.models import Asset
from monitoring.models import Series
from monitoring.services import samples
from tests.monitoring.samples import alerts, server
from tests.monitoring.test_own_rules import DEPTH, rule_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia, "web-01")


def key_of(person: User, kind: str = ApiToken.Scope.METRICS) -> str:
    with scope.platform("test"):
        return tokens.issue(actor=person, name="script", scope=kind, valid_for=timedelta(days=30), now=timezone.now())[
            1
        ]


def send(key: str, *sent: dict[str, Any]) -> Any:
    client = Client(headers={"Authorization": f"Bearer {key}"})
    return client.post("/api/v1/samples/", {"samples": list(sent)}, content_type="application/json")


def sample(**fields: Any) -> dict[str, Any]:
    return {"asset": "web-01", "metric": DEPTH, "value": 7, **fields}


def test_a_figure_is_stored_once_and_judged(alice: User, chen: User, jia: Customer, web: Asset) -> None:
    rule_for(jia, chen, times=1)
    key = key_of(alice)
    one = sample(value=500, at=timezone.now().isoformat(), labels={"topic": "pay"})
    assert send(key, one).json() == {"stored": 1, "repeated": 0, "refused": 0, "unknown_assets": []}
    assert send(key, one).json()["repeated"] == 1
    assert send(key, {**one, "asset": str(web.pk)}).json()["repeated"] == 1, "an asset by its number is the same asset"
    assert len(alerts(jia)) == 1


def test_assets_of_others_are_unknown(alice: User, yi: Customer, web: Asset) -> None:
    foreign = server(yi, "db-01")
    answer = send(key_of(alice), sample(asset="db-01"), sample(asset=str(foreign.pk)), sample()).json()
    assert (answer["stored"], answer["refused"], answer["unknown_assets"]) == (1, 2, ["db-01"])
    with scope.customer(yi):
        assert not Series.objects.exists()


def test_a_name_that_two_assets_have_is_no_name(alice: User, jia: Customer, web: Asset) -> None:
    server(jia, "web-01", kind="ecs")
    assert send(key_of(alice), sample()).json()["unknown_assets"] == ["web-01"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"metric": "host.cpu.util"},
        {"metric": "custom.queue"},
        {"metric": "custom.Queue.depth"},
        {"value": "many"},
        {"value": None},
        {"labels": {"a b": "x"}},
        {"labels": {f"l{n}": "x" for n in range(9)}},
        {"at": "yesterday"},
        {"asset": ""},
    ],
)
def test_what_is_no_figure_is_a_bad_request(alice: User, web: Asset, wrong: dict[str, Any]) -> None:
    assert send(key_of(alice), sample(**wrong)).status_code == 400


def test_limits_of_a_request_and_of_series(alice: User, web: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_of(alice)
    assert send(key, *[sample()] * 1001).status_code == 400
    assert send(key).status_code == 400
    monkeypatch.setattr(samples, "MOST_SERIES", 2)
    assert send(key, sample(), sample(labels={"n": "1"})).status_code == 200
    assert send(key, sample(labels={"n": "2"})).status_code == 400
    assert send(key, sample()).status_code == 200, "what is there already goes on"


def test_a_token_that_only_reads_sends_nothing(alice: User, web: Asset) -> None:
    assert send(key_of(alice, ApiToken.Scope.READ), sample()).status_code == 403
    assert Client().post("/api/v1/samples/", {}, content_type="application/json").status_code in (401, 403)
