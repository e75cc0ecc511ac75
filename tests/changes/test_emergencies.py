"""An emergency takes the short path: on a fresh backup, and on a spoken yes that is signed before it is settled."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset
from changes.models import Change, ChangeKind
from changes.services import confirming, drafting, evidence, executing, scheduling
from changes.timeline import sentence
from incidents.models import Incident
from incidents.services import attestations
from notify.models import Delivery
from tests.changes.conftest import HOUR, MINUTE, approve, back_up, draft, look, sign
from tests.conftest import NOW, ClientFor
from tests.incidents.test_deadlines import sweep

pytestmark = pytest.mark.usefixtures("contacts")
DAY = timedelta(days=1)
WHY = "Alice has left the company; her successor confirmed by mail"


def heard(incident: Incident, web: Asset, chen: User, lin: User) -> Change:
    change = draft(incident, lin, web, kind=ChangeKind.EMERGENCY)
    drafting.submit(change=change, actor=chen, now=NOW)
    confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    confirming.hear(change=change, name="Alice", words="Do it", actor=chen, now=NOW)
    return change


@pytest.fixture
def urgent(jia: Customer, incident: Incident, web: Asset, chen: User, lin: User, root: User, alice: User) -> Change:
    """Begun, failed and rolled back; nobody has signed."""
    with scope.customer(jia):
        change = heard(incident, web, chen, lin)
        back_up(change, web, chen)
        approve(change, root)
        executing.begin(change=change, actor=chen, now=NOW + MINUTE)
        executing.fail(change=change, reason="It does not boot", actor=chen, now=NOW + MINUTE)
        look(change, chen, at=NOW + MINUTE)
        executing.roll_back(change=change, result="As before", verified_by=lin, actor=chen, now=NOW + MINUTE)
        change.refresh_from_db()
        assert change.needs_review
    return change


def keep(change: Change, web: Asset, chen: User, *, days_ago: int) -> None:
    """Recorded now, taken then."""
    evidence.record_backup(
        change=change, asset=web, method="snapshot", reference="s-bp1abc2def3", sha256="",
        taken_at=NOW - days_ago * DAY, actor=chen, now=NOW,
    )  # fmt: skip


def expire(change: Change) -> None:
    assert change.confirmation is not None
    at = change.confirmation.expires_at
    assert attestations.expire(attestation_id=change.confirmation.pk, now=at)
    confirming.answered(attestation_id=change.confirmation.pk, now=at)
    change.refresh_from_db()


@pytest.mark.parametrize("scheduled", [False, True])
def test_it_does_not_begin_on_an_old_backup(
    jia: Customer, incident: Incident, web: Asset, chen: User, lin: User, root: User, scheduled: bool
) -> None:
    with scope.customer(jia):
        change = heard(incident, web, chen, lin)
        if scheduled:  # a window of last week would let an older one pass
            scheduling.schedule(
                change=change, starts_at=NOW - 5 * DAY, ends_at=NOW + HOUR, actor=chen, now=NOW - 5 * DAY
            )
        keep(change, web, chen, days_ago=8)
        change.refresh_from_db()
        assert change.gate == "backed_up"
        keep(change, web, chen, days_ago=6)
        approve(change, root)
        change.refresh_from_db()
        assert change.state == "ready"
        with pytest.raises(DomainError) as refused:
            executing.begin(change=change, actor=chen, now=NOW + 2 * DAY)
        assert refused.value.code == "gate_closed"
        executing.begin(change=change, actor=chen, now=NOW + HOUR)


def test_without_a_window_a_backup_is_as_old_as_it_is_today(
    jia: Customer, incident: Incident, web: Asset, staging: Asset, chen: User, alice: User
) -> None:
    with scope.customer(jia):
        change = draft(incident, chen, web, test_waiver="None")
        drafting.submit(change=change, actor=chen, now=NOW)
        confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
        sign(change, alice)
        keep(change, web, chen, days_ago=8)
        change.refresh_from_db()
        assert change.gate == "backed_up"


def test_it_is_reviewed_once_the_spoken_yes_is_signed(jia: Customer, urgent: Change, alice: User, lin: User) -> None:
    with scope.customer(jia):
        with pytest.raises(DomainError) as refused:
            executing.review(change=urgent, words="It was one", actor=lin, now=NOW + HOUR)
        assert refused.value.code == "not_signed"
        with pytest.raises(DomainError):
            executing.review(change=urgent, words="It was one", unsigned="  ", actor=lin, now=NOW + HOUR)
        urgent.refresh_from_db()
        assert urgent.needs_review
        sign(urgent, alice, now=NOW + HOUR)
        executing.review(change=urgent, words="It was one", unsigned="x", actor=lin, now=NOW + HOUR)
        urgent.refresh_from_db()
        assert (urgent.needs_review, urgent.unsigned_reason) == (False, "")


@pytest.mark.parametrize("how", ["awaited", "declined", "expired"])
def test_or_it_is_written_down_why_nobody_signed(
    jia: Customer, urgent: Change, alice: User, lin: User, client_for: ClientFor, how: str
) -> None:
    with scope.customer(jia):
        assert urgent.confirmation is not None
        if how == "declined":
            attestations.decline(attestation=urgent.confirmation, actor=alice, words="I said no", ip=None, now=NOW)
            confirming.answered(attestation_id=urgent.confirmation.pk, now=NOW)
        if how == "expired":
            expire(urgent)
    manager, address = client_for(lin), f"/changes/{urgent.pk}/"
    said = {"awaited": "等待", "declined": "拒绝", "expired": "过期"}[how]
    form = manager.get(f"{address}review/").content.decode()
    assert 'name="unsigned"' in form
    assert said in form
    assert said in client_for(alice).get(address).content.decode()
    assert manager.post(f"{address}review/", {"reason": "It was one"}).status_code == 422
    api = f"/api/v1{address}review/"
    assert manager.post(api, {"reason": "It was one"}, content_type="application/json").status_code == 409
    assert manager.post(f"{address}review/", {"reason": "It was one", "unsigned": WHY}).status_code == 302
    assert WHY in client_for(alice).get(address).content.decode()
    with scope.customer(jia):
        urgent.refresh_from_db()
        assert (urgent.needs_review, urgent.unsigned_reason) == (False, WHY)
        last = urgent.entries.get(kind="reviewed")
        assert WHY in sentence(last)


def test_the_reminder_names_what_is_not_signed(jia: Customer, urgent: Change, alice: User, lin: User) -> None:
    with scope.customer(jia):
        sweep(NOW + DAY + HOUR)
        [first] = Delivery.objects.filter(user=lin, key__contains=f"change:{urgent.pk}:review:", medium="inbox")
        assert "签字" in first.text
        sign(urgent, alice, now=NOW + DAY + HOUR)
        sweep(NOW + 2 * DAY + 2 * HOUR)
        told = Delivery.objects.filter(user=lin, key__contains=f"change:{urgent.pk}:review:", medium="inbox")
        [second] = told.exclude(pk=first.pk)
        assert "签字" not in second.text


def test_when_the_time_to_sign_is_over_the_same_text_is_put_before_them_again(
    jia: Customer, urgent: Change, chen: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    address, engineer = f"/changes/{urgent.pk}/ask-signature/", client_for(chen)
    with scope.customer(jia):
        with pytest.raises(DomainError) as refused:
            confirming.ask_signature(change=urgent, actor=chen, now=NOW + HOUR)
        assert refused.value.code == "answered", "it is awaited"
        with pytest.raises(PermissionDenied):
            confirming.ask_signature(change=urgent, actor=alice, now=NOW + HOUR)
    assert address not in engineer.get(f"/changes/{urgent.pk}/").content.decode()
    with scope.customer(jia):
        expire(urgent)
        before = urgent.confirmation
        assert before is not None
    assert client_for(alice).get(address).status_code == 403
    assert client_for(eve).post(address).status_code == 404
    assert address in engineer.get(f"/changes/{urgent.pk}/").content.decode()
    assert engineer.post(address).status_code == 302
    with scope.customer(jia):
        urgent.refresh_from_db()
        assert urgent.confirmation is not None
        assert urgent.confirmation.pk != before.pk
        assert urgent.confirmation.text == before.text
        sign(urgent, alice, now=urgent.confirmation.asked_at)
        urgent.refresh_from_db()
        assert not urgent.lacks_signature
        assert urgent.state == "rolled_back"
    again = engineer.post(f"/api/v1/changes/{urgent.pk}/ask-signature/")
    assert again.status_code == 409, "it is signed"


def test_a_normal_change_is_not_asked_about_afterwards(
    jia: Customer, incident: Incident, web: Asset, chen: User, alice: User
) -> None:
    with scope.customer(jia):
        change = draft(incident, chen, web)
        assert not change.lacks_signature
        with pytest.raises(DomainError) as refused:
            confirming.ask_signature(change=change, actor=chen, now=NOW)
        assert refused.value.code == "wrong_state"
