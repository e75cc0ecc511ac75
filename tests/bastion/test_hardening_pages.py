"""The pages of the hardening side: what they show, to whom, and what may be pressed there."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.urls import resolve
from django.utils import timezone, translation

from accounts import scope
from accounts.models import Contact, Customer, User
from assets.models import Asset
from bastion.hardening.catalogue import items
from bastion.models import (
    DirectLogin,
    HardenedServer,
    HardeningCheck,
    HardeningException,
    HardeningPolicy,
    HardeningRemedy,
    HardeningRun,
)
from bastion.services.hardening import exceptions, runs
from changes.models import ScriptVersion
from tests.bastion.conftest import server
from tests.bastion.hardened import SAID, looked_at
from tests.conftest import NOW, ClientFor

BASE = "/bastion/hardening/"


@pytest.fixture
def check(web: Asset, chen: User) -> HardeningCheck:
    with scope.platform("test"):
        return looked_at(web, chen)


@pytest.fixture
def login(web: Asset) -> DirectLogin:
    with scope.platform("test"):
        return DirectLogin.objects.create(
            customer_id=web.customer_id, asset=web, at=NOW, account="root", source="198.51.100.9", port=4022,
            method="password", found_in="journal", seen_at=NOW,
        )  # fmt: skip


@pytest.fixture
def signer(jia: Customer, alice: User) -> Contact:
    with scope.platform("test"):
        return Contact.objects.create(
            customer=jia, kind=Contact.Kind.PRIMARY, user=alice, phone=alice.phone, email=alice.email
        )


def text(client_for: ClientFor, person: User, address: str) -> str:
    return client_for(person).get(address).content.decode()


def test_the_worst_server_stands_first(
    jia: Customer, web: Asset, check: HardeningCheck, chen: User, alice: User, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        good, unseen = server(jia, "app-09"), server(jia, "cache-3")
        looked_at(good, chen, "debian-12")
    page = text(client_for, alice, BASE)
    assert page.index("web-01") < page.index("app-09") < page.index("cache-3")
    assert "Ubuntu 22.04.5 LTS" in page
    assert unseen.name in text(client_for, chen, f"{BASE}?q=cache")
    assert "app-09" not in text(client_for, alice, f"{BASE}?item=root-login").partition("<table")[2]
    csv = b"".join(client_for(alice).get(f"{BASE}?export=csv")).decode()
    assert "web-01" in csv
    assert "app-09" in csv


def test_a_server_shows_each_item_with_its_evidence(
    web: Asset, check: HardeningCheck, bob: User, client_for: ClientFor
) -> None:
    page = text(client_for, bob, f"{BASE}servers/{web.pk}/")
    for shown in ("permitrootlogin yes", "toor", "mysqld", "libssl3", "/etc/cron.d/backup"):
        assert shown in page, shown
    assert "make-right" not in page
    assert page.index('id="item-root-login"') < page.index('id="item-services"')


def test_evidence_is_text_whatever_the_server_says(web: Asset, chen: User, client_for: ClientFor) -> None:
    said = (SAID / "debian-12.txt").read_text().replace("Authorised", "<script>alert(1)</script>\x1b[31m\u202e")
    with scope.platform("test"):
        looked_at(web, chen, text=said)
    for address in (f"{BASE}servers/{web.pk}/", f"{BASE}servers/{web.pk}/banner/"):
        page = text(client_for, chen, address)
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert(1)" not in page
        assert "\x1b" not in page
        assert "\u202e" not in page


def test_moments_in_names_are_those_that_people_read(check: HardeningCheck, login: DirectLogin) -> None:
    with scope.platform("test"):
        assert str(check.run) == f"#{check.run_id} 2026-03-02 10:00"
        assert str(login) == "root@web-01 2026-03-02 10:00:00"


def test_the_score_is_drawn_over_time(web: Asset, check: HardeningCheck, chen: User, client_for: ClientFor) -> None:
    with scope.platform("test"):
        looked_at(web, chen, "debian-12", now=NOW + timedelta(days=7))
    found = json.loads(client_for(chen).get(f"{BASE}servers/{web.pk}/trend.json").content)
    assert {"alarms", "from", "to", "step", "unit", "min", "max", "state", "hidden"} <= set(
        found
    )  # all that chart.js reads
    (line,) = found["series"]
    assert len(line["t"]) == 2
    assert line["v"][0] < line["v"][1]
    assert line["t"][1] - line["t"][0] == 7 * 86_400_000


def test_an_item_has_its_history(web: Asset, check: HardeningCheck, chen: User, client_for: ClientFor) -> None:
    with scope.platform("test"):
        looked_at(web, chen, "debian-12", now=NOW + timedelta(days=7))
    address = f"{BASE}servers/{web.pk}/root-login/"
    assert text(client_for, chen, address).count("<article") == 2
    assert text(client_for, chen, f"{address}?outcome=failed").count("<article") == 1
    assert "permitrootlogin" in b"".join(client_for(chen).get(f"{address}?export=csv")).decode()
    assert client_for(chen).get(f"{BASE}servers/{web.pk}/no-such-item/").status_code == 200


@pytest.mark.parametrize("item", items())
def test_no_other_page_stands_at_the_address_of_an_item(item: str) -> None:
    assert resolve(f"{BASE}servers/1/{item}/").url_name == "hardening-item"


def test_a_run_is_begun_followed_and_cancelled(web: Asset, alice: User, client_for: ClientFor) -> None:
    client = client_for(alice)
    answer = client.post(f"{BASE}check/", {"asset": [web.pk]})
    with scope.platform("test"):
        run = HardeningRun.objects.get()
    assert answer["Location"] == f"{BASE}runs/{run.pk}/"
    page = client.get(answer["Location"]).content.decode()
    assert "0 / 1" in page
    assert "web-01" in page
    assert client.post(f"{BASE}runs/{run.pk}/cancel/").status_code == 302
    with scope.platform("test"):
        run.refresh_from_db()
    assert run.state == "cancelled"
    assert "1 / 1" in client.get(answer["Location"]).content.decode()
    assert str(run.pk) in client.get(f"{BASE}runs/").content.decode()


def test_of_two_customers_both_runs_are_begun_or_none(
    web: Asset, yi: Customer, chen: User, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        other = server(yi, "zz-1")
        runs.begin(customer=yi, assets=[other], actor=chen, now=NOW)
    client = client_for(chen)
    assert client.post(f"{BASE}check/", {"asset": [web.pk, other.pk]}).status_code == 302
    with scope.platform("test"):
        assert not HardeningRun.objects.filter(customer_id=web.customer_id).exists()


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "٣", "-1", "x"])
@pytest.mark.parametrize("field", ["asset", "customer"])
def test_what_is_no_number_chooses_no_server(
    web: Asset, chen: User, client_for: ClientFor, field: str, number: str
) -> None:
    assert client_for(chen).post(f"{BASE}check/", {field: number}).status_code == 302
    with scope.platform("test"):
        assert not HardeningRun.objects.exists()


def test_where_log_ins_were_read_from_is_said_in_words(
    web: Asset, check: HardeningCheck, chen: User, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        HardenedServer.objects.filter(asset=web).update(logins_from="journal, file")
    page = text(client_for, chen, f"{BASE}servers/{web.pk}/")
    with translation.override(chen.language):
        assert f"{DirectLogin.FoundIn.JOURNAL.label}, {DirectLogin.FoundIn.FILE.label}" in page
    assert "journal, file" not in page


def test_all_servers_of_a_customer_are_looked_at(
    jia: Customer, yi: Customer, web: Asset, chen: User, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        server(yi, "other-1")
    client_for(chen).post(f"{BASE}check/", {"customer": jia.pk})
    with scope.platform("test"):
        assert [one.asset_id for one in HardeningCheck.objects.all()] == [web.pk]
    assert client_for(chen).post(f"{BASE}check/", {}).status_code in (302, 409, 422)


def test_members_and_readers_begin_nothing(web: Asset, bob: User, vera: User, client_for: ClientFor) -> None:
    for person in (bob, vera):
        for said in ({"asset": web.pk}, {"customer": web.customer_id}, {}):
            assert client_for(person).post(f"{BASE}check/", said).status_code == 403
    with scope.platform("test"):
        assert not HardeningRun.objects.exists()


def test_another_customer_finds_nothing(
    jia: Customer, web: Asset, check: HardeningCheck, login: DirectLogin, signer: Contact, chen: User, eve: User,
    client_for: ClientFor,
) -> None:  # fmt: skip
    with scope.platform("test"):
        row = exceptions.ask(
            asset=web, item="banner", reason="An appliance that cannot", until=NOW + timedelta(days=9), actor=chen,
            now=NOW,
        )  # fmt: skip
    client = client_for(eve)
    for address in ("", "runs/", "exceptions/", "logins/"):
        assert "web-01" not in client.get(f"{BASE}{address}").content.decode()
        assert "web-01" not in client.get(f"{BASE}{address}?customer={jia.pk}&asset={web.pk}").content.decode()
    for address in (
        f"servers/{web.pk}/", f"servers/{web.pk}/trend.json", f"servers/{web.pk}/banner/",
        f"runs/{check.run_id}/", f"exceptions/{row.pk}/", f"for-asset/{web.pk}/", f"logins/{login.pk}/explain/",
    ):  # fmt: skip
        assert client.get(f"{BASE}{address}").status_code == 404, address
    for address in (f"runs/{check.run_id}/cancel/", f"logins/{login.pk}/explain/"):
        assert client.post(f"{BASE}{address}", {"words": "It was me, really"}).status_code == 404
    assert client.post(f"{BASE}check/", {"asset": web.pk}).status_code in (302, 409, 422)
    with scope.platform("test"):
        assert HardeningRun.objects.count() == 1


def test_an_exception_is_asked_for_and_ended(
    web: Asset, check: HardeningCheck, signer: Contact, chen: User, alice: User, client_for: ClientFor
) -> None:
    client, address = client_for(chen), f"{BASE}servers/{web.pk}/banner/except/"
    until = timezone.localdate() + timedelta(days=30)
    said = {"reason": "An appliance that cannot", "until": until.isoformat()}
    assert client_for(alice).post(address, said).status_code == 403
    for wrong in ({"reason": "short"}, {"until": "2020-01-01"}, {"until": until.replace(year=until.year + 10)}):
        assert client.post(address, said | wrong).status_code == 422
    assert client.post(address, said).status_code == 302
    with scope.platform("test"):
        row = HardeningException.objects.get()
    page = text(client_for, alice, f"{BASE}exceptions/{row.pk}/")
    assert "An appliance that cannot" in page
    assert f"/attestations/{row.attestation_id}/" in page
    assert "An appliance" in b"".join(client.get(f"{BASE}exceptions/?export=csv")).decode()
    assert client.post(address, said).status_code == 422
    end = f"{BASE}exceptions/{row.pk}/end/"
    assert client_for(alice).post(end, {"words": "Not needed"}).status_code == 403
    assert client.post(end, {"words": ""}).status_code == 422
    assert client.post(end, {"words": "Replaced by another machine"}).status_code == 302
    with scope.platform("test"):
        row.refresh_from_db()
    assert row.state == "ended"


def test_a_remedy_drafts_a_change(
    web: Asset, check: HardeningCheck, chen: User, alice: User, client_for: ClientFor
) -> None:
    address = f"{BASE}servers/{web.pk}/root-login/right/"
    assert client_for(alice).post(address, {"setting": "root-login"}).status_code == 403
    client = client_for(chen)
    assert "<form" in client.get(address).content.decode()
    answer = client.post(address, {"setting": "root-login"})
    with scope.platform("test"):
        remedy = HardeningRemedy.objects.select_related("change__incident").get()
        assert not ScriptVersion.objects.get(code="harden-sshd").is_approved
    assert answer["Location"] == f"/changes/{remedy.change_id}/"
    assert remedy.change.operation == "script-run"
    assert remedy.change.fields == {"script": "harden-sshd", "parameters": "setting=root-login"}
    assert remedy.change.incident is not None
    assert remedy.change.number in text(client_for, chen, f"{BASE}servers/{web.pk}/")
    assert client.post(address, {"setting": "root-login"}).status_code == 422
    assert client.get(f"{BASE}servers/{web.pk}/one-root/right/").status_code == 404


def test_what_is_asked_is_written_by_managers(
    jia: Customer, web: Asset, lin: User, chen: User, client_for: ClientFor
) -> None:
    address = f"{BASE}standard/{jia.pk}/"
    assert client_for(chen).get(address).status_code == 403
    client = client_for(lin)
    said = {"ports": "80, 443", "bastions": "10.8.0.4", "images": "", "password_days": "60", "note": ""}
    assert client.post(address, {**said, "ports": "80 x"}).status_code == 422
    assert client.post(address, {**said, "bastions": "0.0.0.0/0"}).status_code == 422
    assert client.post(address, said).status_code == 302
    assert client.post(f"{BASE}servers/{web.pk}/agreed-ports/", {"ports": "8080", "note": "agreed"}).status_code == 302
    with scope.platform("test"):
        policy = HardeningPolicy.objects.get(asset=None)
        own = HardeningPolicy.objects.get(asset=web)
    assert (policy.ports, policy.bastions, policy.password_days) == ([80, 443], ["10.8.0.4"], 60)
    assert (policy.is_weekly, own.ports) == (False, [8080])


def test_direct_logins_are_listed_and_explained(
    web: Asset, login: DirectLogin, bob: User, vera: User, client_for: ClientFor
) -> None:
    address = f"{BASE}logins/"
    assert "198.51.100.9" in text(client_for, vera, address)
    assert "198.51.100.9" in b"".join(client_for(vera).get(f"{address}?export=csv")).decode()
    assert "198.51.100.9" not in text(client_for, bob, f"{address}?explained=yes").partition("<table")[2]
    explain = f"{address}{login.pk}/explain/"
    assert client_for(vera).post(explain, {"words": "It was me, really"}).status_code == 403
    assert client_for(bob).post(explain, {"words": ""}).status_code == 422
    assert client_for(bob).post(explain, {"words": "The hoster's engineer, by agreement"}).status_code == 302
    assert client_for(bob).post(explain, {"words": "Once more the same"}).status_code == 422
    assert "The hoster" in text(client_for, vera, address)


def test_the_asset_has_a_card(
    web: Asset, check: HardeningCheck, login: DirectLogin, bob: User, client_for: ClientFor
) -> None:
    card = text(client_for, bob, f"{BASE}for-asset/{web.pk}/")
    with scope.platform("test"):
        known = HardenedServer.objects.get(asset=web)
        Asset.objects.filter(pk=web.pk).update(os="windows")
    assert str(known.score) in card
    assert f"{BASE}logins/?asset={web.pk}" in card
    assert f"{BASE}for-asset/{web.pk}/" in text(client_for, bob, f"/assets/{web.pk}/")
    assert text(client_for, bob, f"{BASE}for-asset/{web.pk}/").strip() == ""
