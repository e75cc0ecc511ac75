"""Freezes and standard changes by the REST API: the rules are those of the pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from changes.models import ChangeTemplate, ChangeWindow
from incidents.models import Incident
from incidents.services import attestations
from tests.changes.conftest import place
from tests.conftest import NOW, ClientFor

pytestmark = pytest.mark.usefixtures("contacts")
WINDOWS, STANDARD = "/api/v1/change-windows/", "/api/v1/standard-changes/"


def post(client: Client, address: str, said: object = None) -> Any:
    return client.post(address, said, content_type="application/json")


def test_a_freeze_is_made_read_and_ended(
    jia: Customer, yi: Customer, chen: User, lin: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    ahead = timezone.now() + timedelta(days=10)
    once = {"from": ahead.isoformat(), "to": (ahead + timedelta(days=1)).isoformat()}
    weekly = {"days": [5, 6], "from": "22:00", "to": "06:00"}
    said = {"customer": jia.pk, "kind": "freeze", "name": "Sale", "windows": [once, weekly]}
    engineer = client_for(chen)
    made = post(engineer, WINDOWS, said)
    assert made.status_code == 201, made.content
    assert [one["from"] for one in made.json()["windows"]][1] == "22:00"
    for wrong, status in (
        ({"windows": []}, 409),
        ({"windows": [{"from": "x", "to": "y"}]}, 400),
        ({"windows": [{"days": [9], "from": "22:00", "to": "06:00"}]}, 400),
        ({"windows": [{"from": once["to"], "to": once["from"]}]}, 400),
        ({"timezone": "Mars/Base"}, 400),
        ({"timezone": "/etc/passwd"}, 400),
        ({"kind": "party"}, 400),
        ({"customer": 999_999}, 400),
        ({"customer": None}, 403),
        ({"name": " "}, 400),
    ):
        assert post(engineer, WINDOWS, {**said, **wrong}).status_code == status, wrong
    assert post(client_for(alice), WINDOWS, said).status_code == 403
    everybody = post(client_for(lin), WINDOWS, {**said, "customer": None, "windows": [], "holidays": True})
    assert everybody.status_code == 201
    pk = made.json()["id"]
    assert {one["id"] for one in client_for(alice).get(WINDOWS).json()["results"]} == {pk, everybody.json()["id"]}
    assert [one["id"] for one in client_for(eve).get(WINDOWS).json()["results"]] == [everybody.json()["id"]]
    assert client_for(eve).get(f"{WINDOWS}{pk}/").status_code == 404
    assert post(client_for(eve), f"{WINDOWS}{pk}/end/").status_code == 404
    assert post(client_for(alice), f"{WINDOWS}{pk}/end/").status_code == 403
    assert post(engineer, f"{WINDOWS}{everybody.json()['id']}/end/").status_code == 403
    assert post(engineer, f"{WINDOWS}{pk}/end/").json()["ended_at"]
    assert client_for(alice).get(f"{WINDOWS}?standing=true&customer={jia.pk}").json()["results"] == []
    with scope.customer(jia):
        assert ChangeWindow.objects.get(pk=pk).ended_by == chen


def test_a_standard_change_is_described_approved_used_and_retired(
    jia: Customer, yi: Customer, incident: Incident, web: Asset, chen: User, lin: User, alice: User, eve: User,
    client_for: ClientFor,
) -> None:  # fmt: skip
    until = (timezone.localdate() + timedelta(days=90)).isoformat()
    said = {
        "customer": jia.pk, "name": "Reload", "operation": "linux-kernel", "details": {"what": "sysctl -p"},
        "assets": [web.pk], "plan": "x", "rollback": "x", "risk_text": "None", "valid_until": until,
    }  # fmt: skip
    foreign = place(yi, "theirs", "test")
    engineer = client_for(chen)
    for wrong, status in (
        ({"operation": "nothing"}, 400),
        ({"operation": "os-install", "details": {"os": "linux", "image": "x"}}, 409),
        ({"details": {}}, 400),
        ({"assets": []}, 400),
        ({"assets": [foreign.pk]}, 400),
        ({"valid_until": "2020-01-01"}, 409),
        ({"customer": 999_999}, 400),
    ):
        assert post(engineer, STANDARD, {**said, **wrong}).status_code == status, wrong
    assert post(client_for(alice), STANDARD, said).status_code == 403
    made = post(engineer, STANDARD, said)
    assert made.status_code == 201, made.content
    one = f"{STANDARD}{made.json()['id']}/"
    assert (made.json()["is_signed"], made.json()["is_in_force"]) == (False, False)
    use = {"assets": [web.pk], "incident": incident.pk}
    assert post(engineer, f"{one}use/", use).status_code == 409, "nobody has signed"
    assert post(engineer, f"{one}approve/").status_code == 403
    assert post(client_for(lin), f"{one}approve/").status_code == 200
    with scope.customer(jia):
        template = ChangeTemplate.objects.select_related("attestation").get(pk=made.json()["id"])
        assert template.attestation is not None
        attestations.sign(attestation=template.attestation, actor=alice, ip=None, now=NOW)
    assert client_for(alice).get(one).json()["is_in_force"] is True
    for person in (alice, eve):
        refused = post(client_for(person), f"{one}use/", use)
        assert refused.status_code == (403 if person == alice else 404)
    for wrong in ({"incident": 999_999}, {"assets": [foreign.pk]}, {"assets": []}):
        assert post(engineer, f"{one}use/", {**use, **wrong}).status_code == 400
    used = post(engineer, f"{one}use/", use)
    assert used.status_code == 201, used.content
    assert (used.json()["kind"], used.json()["template"]) == ("standard", template.pk)
    assert client_for(eve).get(one).status_code == 404
    assert client_for(eve).get(STANDARD).json()["results"] == []
    assert post(client_for(eve), f"{one}retire/").status_code == 404
    assert post(client_for(alice), f"{one}retire/").status_code == 403
    assert post(engineer, f"{one}retire/").json()["is_in_force"] is False
    assert post(engineer, f"{one}use/", use).status_code == 409
