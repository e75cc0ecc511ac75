"""Announcements reach whom they concern, stand on pages until their end, and show who has read them (R132, R133)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from incidents import tasks
from incidents.models import Announcement, AnnouncementCopy
from incidents.services import announcing
from notify.models import Delivery
from tests.conftest import ClientFor
from tests.incidents.conftest import make_asset
from timers import services as timers
from timers.models import Timer


def details(**changes: object) -> announcing.Details:
    values = {
        "kind": "maintenance",
        "title": "华东 1 网络升级",
        "body": "期间可能有一次闪断。",
        "ends_at": timezone.now() + timedelta(days=2),
    }
    return announcing.Details(**{**values, **changes})  # type: ignore[arg-type]


def publish(actor: User, at: datetime | None = None, **changes: object) -> Announcement:
    draft = announcing.save(announcement=None, details=details(**changes), actor=actor, now=timezone.now())
    return announcing.schedule(announcement=draft, at=at, actor=actor, now=timezone.now())


def test_everybody_with_the_role_hears_of_it_and_it_stands_on_their_pages(
    jia: Customer, alice: User, bob: User, eve: User, lin: User, client_for: ClientFor
) -> None:
    publish(lin, roles=["customer_pm"])
    with scope.platform("test"):
        told = Delivery.objects.filter(key__startswith="announcement:", medium="inbox")
        assert set(told.values_list("user__name", flat=True)) == {"Alice", "Eve"}
    browser = client_for(alice)
    assert "华东 1 网络升级" in browser.get("/announcements/banner/").content.decode()
    assert "华东" not in client_for(bob).get("/announcements/banner/").content.decode()
    with scope.customer(jia):
        copy = AnnouncementCopy.objects.get()
    assert "闪断" in browser.get(f"/announcements/received/{copy.pk}/").content.decode()
    assert browser.post(f"/announcements/received/{copy.pk}/read/").status_code == 302
    assert "华东" not in browser.get("/announcements/banner/").content.decode()
    assert "华东" in browser.get("/announcements/").content.decode()
    assert client_for(eve).get(f"/announcements/received/{copy.pk}/").status_code == 404


def test_the_provider_sees_who_has_read_it_also_as_csv(
    jia: Customer, alice: User, bob: User, lin: User, chen: User, client_for: ClientFor
) -> None:
    announcement = publish(lin)
    with scope.customer(jia):
        announcing.read(copy=AnnouncementCopy.objects.get(customer=jia), person=alice, now=timezone.now())
    page = client_for(chen).get(f"/announcements/{announcement.pk}/").content.decode()
    assert "Alice" in page
    assert "1" in page
    csv = client_for(lin).get(f"/announcements/{announcement.pk}/?export=csv").content.decode()
    assert sorted(line.split(",")[1] for line in csv.splitlines()[1:]) == ["Alice", "Bob"]
    assert client_for(alice).get(f"/announcements/{announcement.pk}/").status_code == 403


def test_only_customers_who_use_the_product_hear_of_it(jia: Customer, yi: Customer, lin: User) -> None:
    with scope.customer(jia):
        asset = make_asset(jia)
        type(asset).objects.filter(pk=asset.pk).update(kind="rds")
    announcement = publish(lin, products=["rds"])
    with scope.platform("test"):
        assert [copy.customer for copy in announcement.copies.all()] == [jia]


def test_a_scheduled_one_goes_out_by_its_timer_once(jia: Customer, alice: User, lin: User) -> None:
    later = timezone.now() + timedelta(hours=3)
    announcement = publish(lin, at=later)
    assert announcement.state == "scheduled"
    with scope.platform("test"):
        assert not AnnouncementCopy.objects.exists()
        timer = Timer.objects.get(task=tasks.publish_announcement.name)
        assert timer.due_at == later
        assert timers.fire(timer_id=timer.pk, now=later)
        assert not timers.fire(timer_id=timer.pk, now=later)
        assert AnnouncementCopy.objects.count() == 1


def test_withdrawn_it_leaves_the_pages_and_what_waits_is_not_sent(
    jia: Customer, alice: User, lin: User, client_for: ClientFor
) -> None:
    announcement = publish(lin)
    announcing.withdraw(announcement=announcement, actor=lin, now=timezone.now())
    assert "华东" not in client_for(alice).get("/announcements/banner/").content.decode()
    assert "华东" not in client_for(alice).get("/announcements/").content.decode()
    with scope.platform("test"):
        mail = Delivery.objects.filter(user=alice, medium="email", key__startswith="announcement:")
        assert list(mail.values_list("state", flat=True)) == ["withdrawn"]
    with pytest.raises(DomainError):
        announcing.schedule(announcement=announcement, at=None, actor=lin, now=timezone.now())


def test_after_its_end_it_stands_on_no_page(jia: Customer, alice: User, lin: User, client_for: ClientFor) -> None:
    publish(lin)
    with scope.platform("test"):
        AnnouncementCopy.objects.update(ends_at=timezone.now() - timedelta(minutes=1))
    assert "华东" not in client_for(alice).get("/announcements/banner/").content.decode()


def test_what_is_published_is_not_changed_and_what_is_over_not_published(jia: Customer, lin: User) -> None:
    announcement = publish(lin)
    with pytest.raises(DomainError):
        announcing.save(announcement=announcement, details=details(), actor=lin, now=timezone.now())
    with pytest.raises(DomainError):
        publish(lin, at=timezone.now() + timedelta(days=9))


def test_only_managers_announce(jia: Customer, alice: User, chen: User, lin: User, client_for: ClientFor) -> None:
    with pytest.raises(PermissionDenied):
        publish(chen)
    announcement = publish(lin)
    for person in (chen, alice):
        browser = client_for(person)
        assert browser.get("/announcements/new/").status_code == 403
        assert browser.post(f"/announcements/{announcement.pk}/withdraw/").status_code == 403


def test_the_form_asks_for_the_recommendation_of_a_price_cut(
    jia: Customer, alice: User, lin: User, client_for: ClientFor
) -> None:
    browser = client_for(lin)
    form = {
        "kind": "price_cut",
        "title": "ECS c8 降价 15%",
        "body": "自下月起。",
        "roles": ["customer_pm"],
        "ends_at": "2099-01-01T00:00",
    }
    assert browser.post("/announcements/new/", form).status_code == 422
    answer = browser.post("/announcements/new/", form | {"recommendation": "将 c7 实例换为 c8。"})
    assert answer.status_code == 302
    page = browser.get(answer["Location"]).content.decode()
    assert "Alice" in page  # whom it concerns, before it is published
    assert browser.post(answer["Location"] + "publish/", {"at": "nonsense"}).status_code == 302
    assert browser.post(answer["Location"] + "publish/", {"at": ""}).status_code == 302
    assert (
        "将 c7 实例换为 c8。"
        in client_for(alice)
        .get(
            client_for(alice)
            .get("/announcements/")
            .content.decode()
            .split('href="/announcements/received/')[1]
            .split('"')[0]
            .join(["/announcements/received/", ""])
        )
        .content.decode()
    )
