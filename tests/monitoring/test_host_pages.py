"""The host state on the asset's page: who sees it, its changes with their differences, what may not be read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from monitoring.models import Event, HostReading
from tests.monitoring.samples import minute, server

pytestmark = pytest.mark.django_db
Clients = Callable[[User], Client]
DIFF = "--- /etc/app.conf\n+++ /etc/app.conf\n@@ -1 +1 @@\n-workers = 4\n+workers = <b>8</b>"


@pytest.fixture
def host(jia: Customer) -> Asset:
    asset = server(jia)
    facts = {
        "hostname": "web-01",
        "system": "Linux",
        "agent": "1.1",
        "boot": 1_772_000_000.0,
        "processes": {
            "state": "ok", "total": 3, "names": {"nginx": 2, "sshd": 1}, "watched": {"nginx": 2, "orders": 0},
        },
        "ports": {"state": "ok", "items": {"tcp 0.0.0.0 80": "nginx", "tcp :: 22": ""}},
        "firewall": {"state": "not_permitted"},
        "accounts": {"state": "ok", "passwords": "not_permitted", "users": {}},
        "logs": [
            {"log": "app", "file": "/var/log/app.log", "keyword": "ERROR", "count": 17, "lines": ["ERROR no database"]},
            {"log": "web", "file": "/var/log/none.log", "keyword": "", "count": 0, "lines": [], "problem": "missing"},
        ],
        "scripts": [
            {"script": "queue", "at": 1_772_000_100.0, "seconds": 0.2, "exit_code": 0, "problem": "", "detail": "",
             "items": [{"name": "depth", "value": 7, "labels": {"topic": "pay"}}]},
            {"script": "backup", "problem": "refused", "detail": "backup.sh does not belong to root"},
        ],
    }  # fmt: skip
    with scope.customer(jia):
        HostReading.objects.create(customer=jia, asset=asset, facts=facts, read_at=minute(0))
        for kind, title, detail in (
            ("host-config", "Configuration file /etc/app.conf changed", {"diff": DIFF, "left_out": 3}),
            ("host-config", "Configuration file /etc/big.conf changed", {"why": "no_text"}),
        ):
            Event.objects.create(
                customer=jia, asset=asset, source="host", kind=kind, title_zh=title, title_en=title, detail=detail,
                occurred_at=minute(1), recorded_at=minute(1), key=title,
            )  # fmt: skip
    return asset


def test_the_owner_sees_changes_processes_ports_logs_and_scripts(client_for: Clients, alice: User, host: Asset) -> None:
    page = client_for(alice).get(f"/monitoring/host-state/{host.pk}/").content.decode()
    for text in ("web-01", "+workers = &lt;b&gt;8&lt;/b&gt;", "nginx × 2", "orders × 0", "ERROR no database",
                 "depth topic=pay", "backup.sh does not belong to root", "/etc/big.conf"):  # fmt: skip
        assert text in page
    assert "<b>8</b>" not in page


def test_what_may_not_be_read_says_so(client_for: Clients, chen: User, host: Asset) -> None:
    page = client_for(chen).get(f"/monitoring/host-state/{host.pk}/").content.decode()
    assert page.count("docs/agent.md") == 1, "the firewall is hidden, processes and ports are not"


def test_a_diff_can_be_kept_as_a_file(client_for: Clients, alice: User, jia: Customer, host: Asset) -> None:
    with scope.customer(jia):
        event = Event.objects.get(key__contains="app.conf")
    response = client_for(alice).get(f"/monitoring/host-changes/{event.pk}.diff")
    assert response.headers["Content-Disposition"] == f'attachment; filename="change-{event.pk}.diff"'
    assert response.content.decode() == f"{DIFF}\n"


def test_another_customer_sees_nothing_of_it(client_for: Clients, eve: User, jia: Customer, host: Asset) -> None:
    with scope.customer(jia):
        event = Event.objects.get(key__contains="app.conf")
    client = client_for(eve)
    assert client.get(f"/monitoring/host-state/{host.pk}/").status_code == 404
    assert client.get(f"/monitoring/host-changes/{event.pk}.diff").status_code == 404


def test_a_host_that_has_told_nothing_yet(client_for: Clients, alice: User, jia: Customer) -> None:
    response = client_for(alice).get(f"/monitoring/host-state/{server(jia).pk}/")
    assert response.status_code == 200


def test_an_engineer_sets_up_the_state_of_a_host(client_for: Clients, chen: User, jia: Customer) -> None:
    asset = server(jia)
    client = client_for(chen)
    path = f"/monitoring/targets/new/{asset.pk}/state/"
    assert client.get(path).status_code == 200
    values = {"url": "http://10.0.0.8:9101/state", "token": "a-token-of-good-length", "alerts": ["host-sudo"],
              "timeout_s": "15", "verify_tls": "on", "period_s": "60"}  # fmt: skip
    response = client.post(path, values)
    assert response.status_code == 302, response.content.decode()[:2000]
    shown = client.get(f"/monitoring/for-asset/{asset.pk}/").content.decode()
    assert f"/monitoring/host-state/{asset.pk}/" in shown
