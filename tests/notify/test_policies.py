"""What was agreed with a customer about telling its contacts, on a page with a preview (R71)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.calendars import ALWAYS, Calendar
from accounts.errors import DomainError
from accounts.models import Contact, Customer, Severity, User
from notify.services import policies
from tests.conftest import NOW, ClientFor

pytestmark = pytest.mark.django_db
OFFICE = Calendar(tz=ZoneInfo("Asia/Shanghai"), week=dict.fromkeys(range(5), ((540, 1080),)))


def test_the_contracts_default_telephones_a_disaster_and_pushes_the_rest() -> None:
    found = policies.defaults()
    assert found[1].calls
    assert found[1].until_reached
    assert found[1].contacts == ("primary", "secondary")
    assert [found[level].calls for level in (2, 3, 4)] == [False] * 3
    assert all("push" in plan.mediums and plan.hours == "always" for plan in found.values())


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        (datetime(2026, 3, 2, 2, 0, tzinfo=UTC), None),  # Monday 10:00
        (datetime(2026, 3, 2, 0, 30, tzinfo=UTC), datetime(2026, 3, 2, 1, 0, tzinfo=UTC)),
        (datetime(2026, 3, 2, 10, 0, tzinfo=UTC), datetime(2026, 3, 3, 1, 0, tzinfo=UTC)),  # 18:00 is closed
        (datetime(2026, 3, 6, 12, 0, tzinfo=UTC), datetime(2026, 3, 9, 1, 0, tzinfo=UTC)),  # over the weekend
    ],
)
def test_quiet_hours_end_when_the_calendar_opens(now: datetime, opens: datetime | None) -> None:
    assert policies.opening(OFFICE, now=now) == opens
    assert policies.opening(ALWAYS, now=now) is None


def test_a_calendar_that_never_opens_holds_nothing_back() -> None:
    assert policies.opening(Calendar(tz=ZoneInfo("UTC"), week={}), now=NOW) is None


@pytest.fixture
def contacts(jia: Customer, alice: User, bob: User) -> None:
    with scope.customer(jia):
        for kind, user in (("secondary", bob), ("primary", alice), ("first_pm", alice)):
            Contact.objects.create(customer=jia, kind=kind, user=user, phone="13811112222", email=user.email)


@pytest.mark.usefixtures("contacts")
def test_each_person_is_told_once_in_the_order_of_the_plan(jia: Customer, bob: User) -> None:
    plan = policies.Plan(contacts=("primary", "secondary", "first_pm"), mediums=("push",))
    with scope.customer(jia):
        assert [one.user.name for one in policies.recipients(jia, plan)] == ["Alice", "Bob"]
        Contact.objects.filter(kind="primary").update(is_away=True)
        assert [one.user.name for one in policies.recipients(jia, plan)] == ["Bob", "Alice"]
        Contact.objects.update(is_away=True)
        assert len(policies.recipients(jia, plan)) == 2


@pytest.mark.usefixtures("contacts")
def test_the_page_shows_who_hears_of_what_and_what_stands_in_the_way(
    jia: Customer, alice: User, lin: User, client_for: ClientFor
) -> None:
    for person in (alice, lin):
        page = client_for(person).get(f"/notify/policies/{jia.pk}/").content.decode()
        assert "Alice" in page
        assert "138****2222" in page
        assert "13811112222" not in page
    assert client_for(alice).get("/notify/policies/").status_code == 302
    assert "甲方" in client_for(lin).get("/notify/policies/").content.decode()


def test_a_manager_writes_down_what_was_agreed_and_takes_it_back(
    jia: Customer, alice: User, eve: User, lin: User, chen: User, client_for: ClientFor
) -> None:
    browser, address = client_for(lin), f"/notify/policies/{jia.pk}/average/"
    form = {
        "contacts": ["secondary", "primary"],
        "mediums": ["push", "sms"],
        "repeat_minutes": "30",
        "hours": "business",
    }
    assert browser.post(address, form | {"contacts": []}).status_code == 422
    assert browser.post(address, form | {"repeat_minutes": "1"}).status_code == 422
    assert browser.post(address, form).status_code == 302
    with scope.customer(jia):
        plan = policies.plans_of(jia)[Severity.AVERAGE]
        assert (plan.contacts, plan.mediums, plan.hours) == (("primary", "secondary"), ("sms", "push"), "business")
        assert plan.is_agreed
    assert browser.post(address + "default/").status_code == 302
    with scope.customer(jia):
        assert policies.plans_of(jia)[Severity.AVERAGE] == policies.defaults()[Severity.AVERAGE]
    assert browser.get(f"/notify/policies/{jia.pk}/terrible/").status_code == 404
    for person in (alice, chen):
        assert client_for(person).post(address, form).status_code == 403
    assert client_for(eve).get(f"/notify/policies/{jia.pk}/").status_code == 404


def test_a_disaster_knows_no_quiet_hours(jia: Customer, alice: User, lin: User) -> None:
    quiet = policies.Plan(contacts=("primary",), mediums=("push",), hours="business")
    with scope.platform("test"):
        with pytest.raises(DomainError):
            policies.save(customer=jia, severity=Severity.DISASTER, plan=quiet, actor=lin, now=NOW)
        with pytest.raises(PermissionDenied):
            policies.save(customer=jia, severity=Severity.HIGH, plan=quiet, actor=alice, now=NOW + timedelta(1))
