"""A change goes through its gates, is carried out, tested by the customer and closed; and all that may stop it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Contact, Customer, ProviderContact, Role, User
from accounts.windows import Once
from assets.models import Asset, CloudAccount
from assets.relations import Tie
from changes.models import REVIEW_DUE, ApprovalLevel, Change, ChangeEntry, ChangeKind, ChangeState
from changes.services import (
    approving,
    confirming,
    drafting,
    evidence,
    executing,
    freezing,
    scheduling,
    templates,
    windows,
)
from changes.services.templates import Described
from incidents.models import Incident, Purpose
from incidents.services import attestations
from notify.models import Delivery
from tests.changes.conftest import (
    HOUR,
    MINUTE,
    WINDOW,
    approve,
    back_up,
    content,
    draft,
    look,
    place,
    prepared,
    sign,
    try_out,
)
from tests.conftest import NOW, ClientFor, make_person
from tests.incidents.conftest import make_asset, raise_incident
from tests.incidents.test_deadlines import sweep
from timers.models import Timer

pytestmark = pytest.mark.usefixtures("contacts")
State = ChangeState


@pytest.fixture
def change(incident: Incident, web: Asset, chen: User) -> Change:
    with scope.customer(incident.customer):
        return draft(incident, chen, web)


@pytest.fixture
def in_jia(jia: Customer) -> Iterator[Customer]:
    with scope.customer(jia):
        yield jia


def states_of(change: Change) -> tuple[str, str]:
    change.refresh_from_db()
    return change.state, change.gate


def test_the_whole_path(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    assert states_of(change) == ("draft", "")
    drafting.submit(change=change, actor=chen, now=NOW)
    assert states_of(change) == ("preparing", "risk_told")
    confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    assert states_of(change) == ("preparing", "confirmed")
    sign(change, alice)
    assert states_of(change) == ("preparing", "tested")
    try_out(change, staging, chen)
    assert states_of(change) == ("preparing", "backed_up")
    back_up(change, web, chen)
    assert states_of(change) == ("preparing", "approved")
    approve(change, lin, alice)
    assert states_of(change) == ("preparing", "scheduled")
    scheduling.schedule(change=change, starts_at=WINDOW[0], ends_at=WINDOW[1], actor=chen, now=NOW)
    assert states_of(change) == ("ready", "")
    executing.begin(change=change, actor=chen, now=WINDOW[0])
    assert states_of(change) == ("executing", "")
    look(change, chen, at=WINDOW[0] + MINUTE)
    executing.finish_work(change=change, result="It is 5000", actor=chen, now=WINDOW[0] + HOUR)
    assert states_of(change) == ("customer_test", "")
    executing.sign_off(change=change, words="It works", actor=alice, now=WINDOW[0] + 2 * HOUR)
    assert states_of(change) == ("closed", "")
    assert change.signed_off_by == alice
    assert list(audit.verify(in_jia.pk)) == []
    assert not Timer.objects.pending().filter(key__startswith=f"change:{change.pk}:").exists()


def test_the_text_that_is_signed_says_everything(in_jia: Customer, change: Change, chen: User) -> None:
    drafting.submit(change=change, actor=chen, now=NOW)
    asked = confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    assert asked is not None
    for words in (change.number, "web-01", "queueLength", "appcmd set with the old value", "It may restart"):
        assert words in asked.text


def test_whoever_rewrites_it_asks_for_every_word_again(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    prepared(change, web, staging, chen=chen, alice=alice, lin=lin)
    assert change.state == State.READY
    drafting.edit(change=change, content=content(web, plan="2. reboot"), actor=chen, now=NOW)
    assert states_of(change) == ("preparing", "risk_told")
    with pytest.raises(DomainError):
        executing.begin(change=change, actor=chen, now=WINDOW[0])
    confirming.tell_risk(change=change, text="It will restart", actor=chen, now=NOW)
    sign(change, alice)
    assert states_of(change) == ("preparing", "tested"), "the test was of something else"


def test_saving_it_unchanged_asks_for_nothing(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    prepared(change, web, staging, chen=chen, alice=alice, lin=lin)
    drafting.edit(change=change, content=content(web), actor=chen, now=NOW)
    assert states_of(change) == ("ready", "")


def test_nothing_is_tested_on_production_nor_on_what_nobody_knows(
    in_jia: Customer, change: Change, web: Asset, chen: User
) -> None:
    drafting.submit(change=change, actor=chen, now=NOW)
    for asset in (web, place(in_jia, "who-knows", "unknown")):
        with pytest.raises(DomainError) as refusal:
            try_out(change, asset, chen)
        assert refusal.value.code == "production"


def test_a_failed_test_closes_the_gate_until_one_passes(
    in_jia: Customer, change: Change, staging: Asset, chen: User, alice: User
) -> None:
    drafting.submit(change=change, actor=chen, now=NOW)
    confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    sign(change, alice)
    try_out(change, staging, chen)
    try_out(change, staging, chen, passed=False)
    assert states_of(change) == ("preparing", "tested")
    try_out(change, staging, chen)
    assert states_of(change) == ("preparing", "backed_up")


@pytest.mark.parametrize(
    ("method", "reference", "sha256", "code"),
    [
        ("snapshot", "my snapshot", "", "bad_reference"),
        ("file", "etc/nginx.conf", "a" * 64, "bad_reference"),
        ("file", "/backup/nginx.conf", "", "bad_sum"),
        ("file", "/backup/nginx.conf", "xyz", "bad_sum"),
        ("database", "", "", "bad_reference"),
    ],
)
def test_a_backup_says_where_it_is(
    in_jia: Customer, change: Change, web: Asset, chen: User, method: str, reference: str, sha256: str, code: str
) -> None:
    drafting.submit(change=change, actor=chen, now=NOW)
    said = {"method": method, "reference": reference, "sha256": sha256}
    with pytest.raises(DomainError) as refusal:
        evidence.record_backup(change=change, asset=web, **said, taken_at=NOW, actor=chen, now=NOW)
    assert refusal.value.code == code


def test_it_begins_in_its_window_only(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    prepared(change, web, staging, chen=chen, alice=alice, lin=lin)
    with pytest.raises(DomainError) as early:
        executing.begin(change=change, actor=chen, now=WINDOW[0] - MINUTE)
    with pytest.raises(DomainError) as late:
        executing.begin(change=change, actor=chen, now=WINDOW[1])
    assert (early.value.code, late.value.code) == ("outside_window", "gate_closed")


def test_a_freeze_holds_it_until_a_manager_overrules(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    freeze = {"kind": "freeze", "name": "Double eleven", "windows": [Once(*WINDOW)], "actor": lin, "now": NOW}
    freezing.create(customer=in_jia, **freeze)  # type: ignore[arg-type]
    prepared(change, web, staging, chen=chen, alice=alice, lin=lin)
    assert states_of(change) == ("preparing", "scheduled")
    with pytest.raises(PermissionDenied):
        scheduling.overrule_freeze(change=change, reason="Urgent", actor=chen, now=NOW)
    scheduling.overrule_freeze(change=change, reason="The shop is down otherwise", actor=lin, now=NOW)
    assert states_of(change) == ("ready", "")
    scheduling.schedule(change=change, starts_at=WINDOW[0] + MINUTE, ends_at=WINDOW[1], actor=chen, now=NOW)
    assert states_of(change) == ("preparing", "scheduled"), "another window is another question"


def test_a_freeze_that_comes_later_stops_what_was_ready(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    prepared(change, web, staging, chen=chen, alice=alice, lin=lin)
    freeze = freezing.create(customer=None, kind="freeze", name="All", windows=[Once(*WINDOW)], actor=lin, now=NOW)
    assert states_of(change) == ("preparing", "scheduled")
    with pytest.raises(DomainError) as refusal:
        executing.begin(change=change, actor=chen, now=WINDOW[0])
    assert refusal.value.code == "gate_closed"
    freezing.end(window=freeze, actor=lin, now=NOW)
    assert states_of(change) == ("ready", "")


def test_public_holidays_can_be_frozen(in_jia: Customer, lin: User, db: None) -> None:
    from accounts.services import calendars  # noqa: PLC0415 - only this test needs them

    with scope.platform("test"):
        calendars.seed_default(years=[2026], now=NOW)
    freezing.create(customer=in_jia, kind="freeze", name="Holidays", windows=[], holidays=True, actor=lin, now=NOW)
    labour_day = NOW.replace(month=5, day=1)
    assert windows.freezes(in_jia, labour_day, labour_day + HOUR)
    assert not windows.freezes(in_jia, NOW, NOW + HOUR)


def test_nobody_approves_alone_what_they_asked_for(
    in_jia: Customer, web: Asset, staging: Asset, alice: User, chen: User, lin: User
) -> None:
    own = drafting.draft(
        customer=in_jia, content=content(web), origin="cloud_vendor", vendor_notice="N-1", actor=lin, now=NOW
    )
    drafting.submit(change=own, actor=lin, now=NOW)
    confirming.tell_risk(change=own, text="It may restart", actor=lin, now=NOW)
    sign(own, alice)
    try_out(own, staging, chen)
    back_up(own, web, chen)
    with pytest.raises(PermissionDenied):
        approve(own, lin)
    root = make_person("rita", Role.MANAGER)
    with pytest.raises(PermissionDenied):
        approve(own, root)  # she was no manager when they were asked
    level = ApprovalLevel.objects.get(change=own, asked_at__isnull=False)
    assert level.deciders == [] or lin.pk not in level.deciders


def told_and_kept(change: Change, web: Asset, staging: Asset, *, chen: User, alice: User) -> None:
    """As far as the question to the approvers."""
    drafting.submit(change=change, actor=chen, now=NOW)
    confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    sign(change, alice)
    try_out(change, staging, chen)
    back_up(change, web, chen)


def deciders_at(change: Change, duty: str) -> list[int]:
    level = ApprovalLevel.objects.current().get(change=change, duty=duty)
    deciders: list[int] = level.deciders
    return deciders


def test_whoever_drafted_or_rewrote_what_a_customer_asked_for_does_not_approve_it(
    in_jia: Customer, incident: Incident, web: Asset, staging: Asset, alice: User, chen: User, lin: User
) -> None:
    rita = make_person("rita", Role.MANAGER)
    drafted = draft(incident, lin, web)
    assert drafted.requester == alice
    told_and_kept(drafted, web, staging, chen=chen, alice=alice)
    assert deciders_at(drafted, "owner") == [rita.pk]
    with pytest.raises(PermissionDenied):
        approve(drafted, lin)
    drafting.edit(change=drafted, content=content(web, plan="By hand"), actor=rita, now=NOW)
    confirming.tell_risk(change=drafted, text="It may restart", actor=chen, now=NOW)
    sign(drafted, alice)
    try_out(drafted, staging, chen)
    assert deciders_at(drafted, "owner") == [], "the two wrote it together"
    for writer in (lin, rita):
        with pytest.raises(PermissionDenied):
            approve(drafted, writer)
    assert drafted.pk not in {one.pk for one in approving.waiting_for(rita, now=NOW)}


def test_one_person_does_not_carry_two_levels_even_when_named_for_both(
    in_jia: Customer, incident: Incident, web: Asset, staging: Asset, alice: User, chen: User, lin: User
) -> None:
    for kind in (ProviderContact.Kind.PROJECT_OWNER, ProviderContact.Kind.SECURITY):
        ProviderContact.objects.create(customer=in_jia, kind=kind, user=lin)
    rita = make_person("rita", Role.MANAGER)
    risky = draft(incident, chen, web, risk="high")
    told_and_kept(risky, web, staging, chen=chen, alice=alice)
    approve(risky, lin)
    with pytest.raises(PermissionDenied):
        approve(risky, lin)
    assert deciders_at(risky, "security") == [rita.pk], "a manager stands in for who has spoken"
    day = NOW.date()
    approving.delegate(principal=rita, delegate=lin, begins_on=day, ends_on=day, actor=rita, now=NOW)
    with pytest.raises(PermissionDenied):
        approve(risky, lin)
    approve(risky, rita, alice)
    assert states_of(risky) == ("preparing", "scheduled")


def test_the_manager_who_wrote_an_emergency_needs_another_managers_word(
    in_jia: Customer, incident: Incident, web: Asset, alice: User, chen: User, lin: User
) -> None:
    urgent = draft(incident, lin, web, kind=ChangeKind.EMERGENCY)
    drafting.submit(change=urgent, actor=lin, now=NOW)
    confirming.tell_risk(change=urgent, text="It may restart", actor=lin, now=NOW)
    confirming.hear(change=urgent, name="Alice", words="Do it", actor=lin, now=NOW)
    back_up(urgent, web, chen)
    with pytest.raises(PermissionDenied):
        approve(urgent, lin)
    rita = make_person("rita", Role.MANAGER)
    sweep(NOW + timedelta(minutes=15))
    approve(urgent, rita)
    assert states_of(urgent) == ("ready", "")


def test_the_second_project_manager_decides_while_the_first_is_away(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, bob: User, lin: User
) -> None:
    User.objects.filter(pk=bob.pk).update(role=Role.CUSTOMER_PM)
    Contact.objects.filter(user=alice, kind="first_pm").update(is_away=True)
    drafting.submit(change=change, actor=chen, now=NOW)
    confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    sign(change, alice)
    try_out(change, staging, chen)
    back_up(change, web, chen)
    approve(change, lin)
    with pytest.raises(PermissionDenied):
        approve(change, alice)
    bob.refresh_from_db()
    approve(change, bob)
    assert states_of(change) == ("preparing", "scheduled")


def test_both_project_managers_say_yes_to_what_is_dangerous(
    in_jia: Customer, incident: Incident, web: Asset, staging: Asset, chen: User, alice: User, bob: User, lin: User
) -> None:
    rita = make_person("rita", Role.MANAGER)
    deadly = draft(incident, chen, web, operation="os-install", fields={"image": "x"})
    assert deadly.risk == "dangerous"
    told_and_kept(deadly, web, staging, chen=chen, alice=alice)
    approve(deadly, lin, rita, alice)
    assert deciders_at(deadly, "customer") == [alice.pk, bob.pk]
    assert states_of(deadly) == ("preparing", "approved")
    approve(deadly, bob)
    assert states_of(deadly) == ("preparing", "scheduled")


def test_only_a_manager_puts_a_change_below_the_class_of_its_operation_and_says_why(
    in_jia: Customer, incident: Incident, web: Asset, chen: User, lin: User
) -> None:
    for person, reason in ((chen, "It is harmless"), (lin, " ")):
        with pytest.raises(DomainError) as refusal:
            draft(incident, person, web, operation="linux-kernel", risk="medium", reason=reason)
        assert refusal.value.code == "risk_too_low"
    own = draft(incident, chen, web, operation="linux-kernel")
    with pytest.raises(DomainError):
        lower = content(web, operation="linux-kernel", risk="low")
        drafting.edit(change=own, content=lower, actor=chen, now=NOW)
    lowered = draft(incident, lin, web, operation="linux-kernel", risk="medium", reason="On a machine that is empty")
    for change, words in ((own, "风险等级：高风险"), (lowered, "风险等级：中风险（服务目录：高风险）")):
        drafting.submit(change=change, actor=chen, now=NOW)
        asked = confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
        assert asked is not None
        assert words in asked.text.split("\n")


def test_an_emergency_goes_round_no_gate_of_patches_whether_or_not_the_patch_is_named(
    in_jia: Customer, incident: Incident, web: Asset, chen: User, alice: User, lin: User
) -> None:
    for name in ("CVE-2026-1", " "):
        patching = draft(incident, chen, web, operation="linux-patch", fields={"patch": name, "analysis": "x"})
        drafting.submit(change=patching, actor=chen, now=NOW)
        drafting.make_emergency(change=patching, reason="It is exploited", actor=lin, now=NOW)
        asked = confirming.tell_risk(change=patching, text="It may restart", actor=chen, now=NOW)
        assert asked is not None
        assert asked.purpose == Purpose.PATCH
        confirming.hear(change=patching, name="Alice", words="Do it", actor=chen, now=NOW)
        back_up(patching, web, chen)
        assert states_of(patching) == ("preparing", "patch_proven")
        file = SimpleUploadedFile("sop.pdf", b"%PDF-1.7 procedure")
        evidence.attach(change=patching, file=file, purpose="sop", actor=alice, now=NOW)
        assert states_of(patching) == ("preparing", "patch_proven"), "nowhere else was it tried"


def test_a_refusal_needs_a_reason_and_asking_again_keeps_what_was_signed(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    drafting.submit(change=change, actor=chen, now=NOW)
    confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    sign(change, alice)
    try_out(change, staging, chen)
    back_up(change, web, chen)
    with pytest.raises(DomainError):
        approving.decide(change=change, is_yes=False, words=" ", actor=lin, now=NOW)
    approving.decide(change=change, is_yes=False, words="Not before the sale", actor=lin, now=NOW)
    assert states_of(change) == ("preparing", "approved")
    with pytest.raises(DomainError):
        approve(change, alice)
    approving.ask_again(change=change, actor=chen, now=NOW)
    approve(change, lin, alice)
    assert states_of(change) == ("preparing", "scheduled")


def test_who_does_not_answer_is_reminded_then_others_may_decide_and_at_last_it_lapses(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, bob: User, lin: User
) -> None:
    drafting.submit(change=change, actor=chen, now=NOW)
    confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    sign(change, alice)
    try_out(change, staging, chen)
    back_up(change, web, chen)
    approve(change, lin)
    level = ApprovalLevel.objects.get(change=change, duty="customer")
    assert level.deciders == [alice.pk]
    sweep(NOW + timedelta(hours=24))
    level.refresh_from_db()
    assert level.deciders == [alice.pk, bob.pk]
    sweep(NOW + timedelta(hours=48))
    level.refresh_from_db()
    assert level.lapsed_at is not None
    assert states_of(change) == ("preparing", "approved")
    assert ChangeEntry.objects.filter(change=change, kind="lapsed").exists()


def test_a_delegate_decides_for_whoever_is_away(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, bob: User, lin: User
) -> None:
    day = NOW.date()
    approving.delegate(principal=alice, delegate=bob, begins_on=day, ends_on=day, actor=alice, now=NOW)
    with pytest.raises(DomainError):
        approving.delegate(principal=alice, delegate=chen, begins_on=day, ends_on=day, actor=alice, now=NOW)
    drafting.submit(change=change, actor=chen, now=NOW)
    confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    sign(change, alice)
    try_out(change, staging, chen)
    back_up(change, web, chen)
    approve(change, lin, bob)
    vote = ApprovalLevel.objects.get(change=change, duty="customer").votes.get()
    assert (vote.voter, vote.person) == (alice, bob)
    assert states_of(change) == ("preparing", "scheduled")


def test_an_emergency_begins_on_a_managers_word_and_is_reviewed_afterwards(
    in_jia: Customer, incident: Incident, web: Asset, chen: User, alice: User, lin: User
) -> None:
    with pytest.raises(PermissionDenied):
        draft(incident, chen, web, kind=ChangeKind.EMERGENCY)
    urgent = draft(incident, chen, web)
    drafting.submit(change=urgent, actor=chen, now=NOW)
    drafting.make_emergency(change=urgent, reason="The shop is down", actor=lin, now=NOW)
    confirming.tell_risk(change=urgent, text="It may restart", actor=chen, now=NOW)
    confirming.hear(change=urgent, name="Alice", words="Do it", actor=chen, now=NOW)
    back_up(urgent, web, chen)
    approve(urgent, lin)
    assert states_of(urgent) == ("ready", "")
    executing.begin(change=urgent, actor=chen, now=NOW + MINUTE)
    executing.fail(change=urgent, reason="It does not boot", actor=chen, now=NOW + 2 * MINUTE)
    look(urgent, chen, at=NOW + 3 * MINUTE)
    executing.roll_back(change=urgent, result="As before, checked", verified_by=lin, actor=chen, now=NOW + 3 * MINUTE)
    urgent.refresh_from_db()
    assert urgent.needs_review
    assert urgent in Change.objects.filter(REVIEW_DUE)
    reminders = Delivery.objects.filter(user=lin, key__contains=f"change:{urgent.pk}:review:")
    sweep(NOW + 24 * HOUR)
    assert not reminders.exists(), "a day has not passed since it was over"
    for day in (1, 2):
        sweep(NOW + day * 24 * HOUR + HOUR)
        assert reminders.filter(key__contains=f"{NOW + day * 24 * HOUR + HOUR:%Y%m%d%H%M}").exists(), day
    with pytest.raises(PermissionDenied):
        executing.review(change=urgent, words="Fine", actor=chen, now=NOW + HOUR)
    with pytest.raises(DomainError) as refusal:
        executing.review(change=urgent, words="It was one", actor=lin, now=NOW + HOUR)
    assert refusal.value.code == "not_signed"
    sign(urgent, alice, now=NOW + HOUR)
    executing.review(change=urgent, words="It was one", actor=lin, now=NOW + HOUR)
    urgent.refresh_from_db()
    assert not urgent.needs_review
    assert urgent not in Change.objects.filter(REVIEW_DUE)
    assert not Timer.objects.pending().filter(key__startswith=f"change-review:{urgent.pk}:").exists()


def test_the_customer_alone_signs_off_and_may_object(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, bob: User, lin: User
) -> None:
    prepared(change, web, staging, chen=chen, alice=alice, lin=lin)
    executing.begin(change=change, actor=chen, now=WINDOW[0])
    with pytest.raises(DomainError) as refusal:
        executing.finish_work(change=change, result="Done", actor=chen, now=WINDOW[0])
    assert refusal.value.code == "checks_left"
    look(change, chen)
    executing.finish_work(change=change, result="Done", actor=chen, now=WINDOW[0])
    for person in (chen, lin):
        with pytest.raises(PermissionDenied):
            executing.sign_off(change=change, words="", actor=person, now=WINDOW[0])
    executing.object_to(change=change, words="The shop is slow", actor=alice, now=WINDOW[0])
    assert states_of(change) == ("failed", "")


def test_the_customer_names_who_tests_and_that_person_may_sign_off(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, bob: User, lin: User
) -> None:
    prepared(change, web, staging, chen=chen, alice=alice, lin=lin)
    with pytest.raises(DomainError):
        drafting.take(change=change, owner=chen, customer_owner=lin, actor=chen, now=NOW)
    executing.begin(change=change, actor=chen, now=WINDOW[0])
    look(change, chen)
    executing.finish_work(change=change, result="Done", actor=chen, now=WINDOW[0])
    with pytest.raises(PermissionDenied):
        executing.sign_off(change=change, words="", actor=bob, now=WINDOW[0])
    drafting.take(change=change, owner=chen, customer_owner=bob, actor=chen, now=WINDOW[0])
    executing.sign_off(change=change, words="It works", actor=bob, now=WINDOW[0])
    assert states_of(change) == ("closed", "")


def test_a_production_server_gets_no_patch_before_another_one_and_not_without_the_customers_procedure(
    in_jia: Customer, incident: Incident, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    def patching(asset: Asset, name: str) -> Change:
        return draft(incident, chen, asset, operation="linux-patch", fields={"patch": name, "analysis": "x"})

    def sop(change: Change) -> None:
        file = SimpleUploadedFile("sop.pdf", b"%PDF-1.7 procedure")
        evidence.attach(change=change, file=file, purpose="sop", actor=alice, now=NOW)

    second = patching(web, "cve-2026-1")
    drafting.submit(change=second, actor=chen, now=NOW)
    confirming.tell_risk(change=second, text="It may restart", actor=chen, now=NOW)
    sign(second, alice)
    try_out(second, staging, chen)
    back_up(second, web, chen)
    sop(second)
    assert states_of(second) == ("preparing", "patch_proven")
    first = patching(staging, "CVE-2026-1  ")
    sop(first)
    rita = make_person("rita", Role.MANAGER)
    prepared(first, staging, staging, chen=chen, alice=alice, lin=lin, security=(rita,))
    assert states_of(first) == ("ready", "")
    executing.begin(change=first, actor=chen, now=WINDOW[0])
    look(first, chen)
    executing.finish_work(change=first, result="Installed", actor=chen, now=WINDOW[0])
    executing.sign_off(change=first, words="", actor=alice, now=WINDOW[0])
    scheduling.schedule(change=second, starts_at=WINDOW[0], ends_at=WINDOW[1], actor=chen, now=NOW)
    assert states_of(second) == ("preparing", "approved")


def test_a_request_authorises_only_once_it_is_accepted(in_jia: Customer, web: Asset, chen: User, alice: User) -> None:
    from incidents.services import requests  # noqa: PLC0415 - only this test needs them

    asked = requests.raise_request(customer=in_jia, title="Kernel", description="", assets=[], actor=alice, now=NOW)
    change = draft(asked, chen, web)
    drafting.submit(change=change, actor=chen, now=NOW)
    assert states_of(change) == ("preparing", "authorised")


def test_a_closed_change_settles_what_its_request_owed(in_jia: Customer, web: Asset, chen: User, alice: User) -> None:
    from incidents.services import acknowledge, requests  # noqa: PLC0415 - only this test needs them

    wanted = requests.Wanted(operation="windows-role", owes_change=True)
    asked = requests.raise_request(
        customer=in_jia, title="Queue", description="", assets=[], wanted=wanted, actor=alice, now=NOW
    )
    acknowledge(incident=asked, actor=chen, now=NOW)
    requests.accept(incident=asked, words="", actor=chen, now=NOW)
    requests.begin(incident=asked, actor=chen, now=NOW)
    change = draft(asked, chen, web)
    with pytest.raises(DomainError) as refusal:
        requests.finish(incident=asked, words="Done", actor=chen, now=NOW)
    assert refusal.value.code == "change_missing"
    Change.objects.filter(pk=change.pk).update(state=State.CUSTOMER_TEST, begun_at=NOW)
    executing.sign_off(change=change, words="", actor=alice, now=NOW)
    assert requests.finish(incident=asked, words="Done", actor=chen, now=NOW).phase == "done"


def test_a_standard_change_is_signed_once_and_used_again(
    in_jia: Customer, incident: Incident, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    described = Described(
        name="Restart the web server",
        operation="ecs-power",
        fields={"action": "restart"},
        assets=(place(in_jia, "ecs-1", "production", kind="ecs"),),
        plan="Restart",
        rollback="Start again",
        risk_text="A minute of outage",
        valid_until=NOW.date() + timedelta(days=90),
    )
    template = templates.create(customer=in_jia, said=described, actor=chen, now=NOW)
    [asset] = described.assets
    with pytest.raises(DomainError):
        drafting.draft_standard(template=template, assets=[asset], actor=chen, now=NOW)
    assert template.attestation is not None
    attestations.sign(attestation=template.attestation, actor=alice, ip=None, now=NOW)
    with pytest.raises(PermissionDenied):
        templates.approve(template=template, actor=chen, now=NOW)
    template = templates.approve(template=template, actor=lin, now=NOW)
    with pytest.raises(DomainError):
        drafting.draft_standard(template=template, assets=[web], actor=chen, now=NOW)
    change = drafting.draft_standard(template=template, assets=[asset], incident=incident, actor=chen, now=NOW)
    drafting.submit(change=change, actor=chen, now=NOW)
    back_up(change, asset, chen)
    scheduling.schedule(change=change, starts_at=WINDOW[0], ends_at=WINDOW[1], actor=chen, now=NOW)
    assert states_of(change) == ("ready", "")
    templates.retire(template=template, actor=lin, now=NOW)
    with pytest.raises(DomainError) as refusal:
        executing.begin(change=change, actor=chen, now=WINDOW[0])
    assert refusal.value.code == "gate_closed"


def test_conflicts_name_changes_of_the_same_asset_and_its_neighbours(
    in_jia: Customer, incident: Incident, change: Change, web: Asset, chen: User, alice: User
) -> None:
    Asset.objects.filter(pk=web.pk).update(host="10.0.0.7")
    database = make_asset(in_jia, "orders-db")
    Asset.objects.filter(pk=database.pk).update(kind="database", host="10.0.0.7", environment="production")
    database.refresh_from_db()
    other = draft(incident, chen, database, operation="database-parameter", fields={"name": "a", "value": "b"})
    far = draft(incident, chen, place(in_jia, "web-09", "production"))
    for each in (change, other, far):
        drafting.submit(change=each, actor=chen, now=NOW)
        scheduling.schedule(change=each, starts_at=WINDOW[0], ends_at=WINDOW[1], actor=chen, now=NOW)
    change.refresh_from_db()
    [found] = scheduling.conflicts(change)
    assert (found.change, found.shared) == (other, ())
    assert [(one.own, one.other, one.tie) for one in found.neighbours] == [(web, database, Tie.HOST)]


def test_conflicts_go_by_all_that_the_inventory_knows(
    in_jia: Customer,
    account: CloudAccount,
    incident: Incident,
    chen: User,
    alice: User,
    eve: User,
    client_for: ClientFor,
) -> None:
    def cloud(name: str, kind: str, provider_id: str, **details: object) -> Asset:
        asset = place(in_jia, name, "production", kind=kind)
        asset.cloud_account, asset.provider_id, asset.details = account, provider_id, details
        asset.save()
        return asset

    first, second = cloud("web-01", "ecs", "i-1"), cloud("web-02", "ecs", "i-2")
    balancer = cloud("public", "slb", "lb-1", backends=["i-1", "i-2"])
    primary, copy = cloud("orders", "rds", "rm-1"), cloud("orders-ro", "rds", "rr-1", MasterInstanceId="rm-1")
    operation = {"ecs": "hardening", "slb": "lb-config", "rds": "database-parameter"}
    planned = {}
    for asset in (first, second, balancer, primary, copy):
        planned[asset.pk] = draft(incident, chen, asset, operation=operation[asset.kind], fields={"what": "x"})
        drafting.submit(change=planned[asset.pk], actor=chen, now=NOW)
        scheduling.schedule(change=planned[asset.pk], starts_at=WINDOW[0], ends_at=WINDOW[1], actor=chen, now=NOW)

    def near(asset: Asset) -> set[tuple[str, Tie]]:
        planned[asset.pk].refresh_from_db()
        found = scheduling.conflicts(planned[asset.pk])
        return {(one.other.name, one.tie) for conflict in found for one in conflict.neighbours}

    assert near(balancer) == {("web-01", Tie.BALANCER), ("web-02", Tie.BALANCER)}
    assert near(first) == {("public", Tie.BALANCER), ("web-02", Tie.SAME_BALANCER)}
    assert near(primary) == {("orders-ro", Tie.REPLICA)}
    address = f"/changes/{planned[balancer.pk].pk}/"
    page = client_for(alice).get(address).content.decode()
    assert "同一窗口内还有其他变更" in page
    assert "web-02 – public" in page
    listed = client_for(alice).get(f"/api/v1{address}conflicts/").json()
    assert {each["other"] for one in listed for each in one["neighbours"]} == {first.pk, second.pk}
    assert client_for(eve).get(f"/api/v1{address}conflicts/").status_code == 404


def test_giving_it_up_takes_back_what_was_asked(in_jia: Customer, change: Change, chen: User, alice: User) -> None:
    drafting.submit(change=change, actor=chen, now=NOW)
    asked = confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    drafting.cancel(change=change, reason="Not needed", actor=alice, now=NOW)
    assert states_of(change) == ("cancelled", "")
    assert asked is not None
    asked.refresh_from_db()
    assert asked.given is not None
    assert asked.given.outcome == "withdrawn"


def test_approvers_get_a_link_of_their_own(
    in_jia: Customer, change: Change, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    drafting.submit(change=change, actor=chen, now=NOW)
    confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    sign(change, alice)
    try_out(change, staging, chen)
    back_up(change, web, chen)
    told = Delivery.objects.filter(about=f"change:{change.pk}", user=lin, medium="email")
    assert [row.url.startswith("/changes/decide/") for row in told] == [True]


def test_another_customers_assets_and_incidents_stay_out(
    in_jia: Customer, yi: Customer, incident: Incident, change: Change, chen: User, eve: User
) -> None:
    foreign = place(yi, "yi-web", "test")
    with pytest.raises(DomainError):
        draft(incident, chen, foreign)
    with scope.customer(yi):
        theirs = raise_incident(eve, customer=yi)
    with pytest.raises(DomainError):
        drafting.draft(customer=in_jia, content=content(), incident=theirs, actor=chen, now=NOW)
    with scope.customer(yi):
        assert not Change.objects.exists()
