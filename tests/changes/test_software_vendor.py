"""A software vendor's notice leads to a change that goes the whole way on the pages of both sides (R88)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import audit, scope
from accounts.models import Customer, User
from assets.models import Asset
from changes.models import Change, ChangeEntry
from changes.services import confirming
from incidents.services import attestations
from tests.changes.conftest import proof_of
from tests.conftest import ClientFor

pytestmark = pytest.mark.usefixtures("contacts")
NOTICE = "NGINX-2026-03 https://nginx.example/security"
DAY = timedelta(days=1)


def stamp(ahead: timedelta) -> str:
    return f"{timezone.localtime() + ahead:%Y-%m-%dT%H:%M}"


def given(web: Asset, **more: object) -> dict[str, object]:
    return {
        "title": "nginx 1.26.3", "field-what": "Update nginx", "assets": [web.pk], "risk": "high", "lead": "provider",
        "origin": "software_vendor", "vendor_notice": NOTICE, "plan": "1. dnf update nginx",
        "rollback": "1. dnf history undo", "reason": "The vendor closes a hole", **more,
    }  # fmt: skip


def test_it_goes_from_the_notice_to_the_customers_signature(
    jia: Customer, web: Asset, staging: Asset, alice: User, eve: User, chen: User, lin: User, root: User,
    client_for: ClientFor,
) -> None:  # fmt: skip
    engineer, manager, second, customer = (client_for(one) for one in (chen, lin, root, alice))
    new = f"/changes/new/?customer={jia.pk}&operation=linux-kernel"
    assert engineer.post(new, given(web, vendor_notice="")).status_code == 422, "a vendor's wish names its notice"
    page = engineer.post(new, given(web))["Location"]
    pk = int(page.strip("/").rsplit("/", 1)[1])

    def press(client: object, name: str, **said: object) -> None:
        answer = client.post(f"{page}{name}/", said)  # type: ignore[attr-defined]
        assert answer.status_code == 302, (name, answer.content.decode()[:2000])

    def state() -> tuple[str, str]:
        with scope.customer(jia):
            found = Change.objects.get(pk=pk)
            return found.state, found.gate

    press(engineer, "submit")
    assert state() == ("preparing", "risk_told"), "the vendor's notice stands for the request"
    press(engineer, "tell-risk", text="It may restart")
    with scope.customer(jia):
        change = Change.objects.select_related("confirmation").get(pk=pk)
        assert change.confirmation is not None
        assert "1. dnf update nginx" in change.confirmation.text
        attestations.sign(attestation=change.confirmation, actor=alice, ip=None, now=timezone.now())
        confirming.answered(attestation_id=change.confirmation.pk, now=timezone.now())
    press(
        engineer,
        "record-test",
        asset=staging.pk,
        has_passed="1",
        what="It starts",
        tested_at=stamp(-timedelta(hours=1)),
    )
    press(
        engineer, "record-backup", asset=web.pk, method="snapshot", reference="s-bp1abc2def3", sha256="",
        taken_at=stamp(-timedelta(hours=1)),
    )  # fmt: skip
    assert state() == ("preparing", "approved")
    for client in (manager, second, customer):
        press(client, "decide", answer="yes", words="")
    press(engineer, "schedule", starts_at=stamp(-timedelta(minutes=5)), ends_at=stamp(DAY))
    assert state() == ("ready", "")
    press(engineer, "begin")
    with scope.customer(jia):
        points = Change.objects.get(pk=pk).points
    for point in points:
        proof = {f"field-{name}": value for name, value in proof_of(point).items()}
        assert engineer.post(f"{page}check/{point.code}/", proof).status_code == 302
    press(engineer, "finish", result="nginx 1.26.3 answers")
    press(customer, "sign-off", words="The shop works")
    assert state() == ("closed", "")

    shown = customer.get(page).content.decode()
    assert "软件厂商" in shown
    assert "NGINX-2026-03" in shown
    assert 'href="https://nginx.example/security"' in shown
    listed = customer.get("/changes/?origin=software_vendor").content.decode()
    assert "nginx 1.26.3" in listed
    assert "nginx 1.26.3" not in customer.get("/changes/?origin=cloud_vendor").content.decode()
    told = customer.get(f"/api/v1/changes/{pk}/").json()
    assert (told["origin"], told["vendor_notice"], told["state"]) == ("software_vendor", NOTICE, "closed")
    assert client_for(eve).get(page).status_code == 404
    assert client_for(eve).get(f"/api/v1/changes/{pk}/").status_code == 404
    with scope.customer(jia):
        assert list(audit.verify(jia.pk)) == []
        assert ChangeEntry.objects.filter(change=pk, kind="signed_off", actor=alice).exists()


def test_the_api_wants_the_notice_before_it_counts_as_asked_for(
    jia: Customer, web: Asset, chen: User, client_for: ClientFor
) -> None:
    engineer = client_for(chen)
    said = {
        "customer": jia.pk, "operation": "linux-kernel", "title": "nginx", "details": {"what": "x"}, "assets": [web.pk],
        "risk": "high", "plan": "1", "rollback": "1", "origin": "software_vendor",
    }  # fmt: skip
    for notice, lack in (("", True), (NOTICE, False)):
        made = engineer.post("/api/v1/changes/", {**said, "vendor_notice": notice}, content_type="application/json")
        assert made.status_code == 201, made.content
        pk = made.json()["id"]
        assert engineer.post(f"/api/v1/changes/{pk}/submit/").status_code == 200
        gates = engineer.get(f"/api/v1/changes/{pk}/gates/").json()
        authorised = next(gate for gate in gates if gate["gate"] == "authorised")
        assert authorised["is_passed"] is not lack
