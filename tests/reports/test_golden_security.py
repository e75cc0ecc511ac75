"""The security part of a month of which every number is known beforehand: read from real rows and a real endpoint."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from accounts import scope
from accounts.models import Contact, Customer, User
from assets.models import Asset, CloudAccount, Credential, RamFinding
from bastion.models import (
    BastionSession,
    CommandReview,
    DirectLogin,
    HardenedServer,
    HardeningCheck,
    HardeningResult,
    HardeningRun,
    Node,
    SessionCommand,
)
from bastion.services.hardening import exceptions
from changes.models import Change, DutyOccurrence, RecurringDuty, TrailEvent, TrailReading
from demo.aliyun import JIA_UID, CloudServer, FaultKind
from demo.aliyun.security import add_suspicion, add_vulnerability
from incidents.models import Incident
from incidents.months import Month
from incidents.services import attestations
from reports import figures
from reports.blocks import Cell, Part, Remark, Table
from reports.kinds.asking import Asked
from reports.kinds.monthly import security
from tests.assets.conftest import _hasty, account, server  # noqa: F401 - fixtures
from tests.bastion.conftest import node  # noqa: F401 - fixture
from tests.bastion.conftest import server as make_server
from tests.conftest import NOW
from tests.incidents.conftest import _business_calendar, raise_incident  # noqa: F401 - fixture

MONTH = Month(2026, 3)
START, END = MONTH.starts_at, MONTH.ends_at
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
LAST = END - SECOND


def on(day: int, hour: int = 10) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture
def web(jia: Customer) -> Asset:
    return make_server(jia, "web-01")


def read(customer: Customer) -> Part:
    asked = Asked(customer, MONTH, START, END, END + DAY, {})
    return security.read(asked)


def value(part: Part, key: str) -> Cell:
    return next(figure.value for figure in part.figures() if figure.key == key)


def table(part: Part, key: str) -> Table:
    return next(table for table in part.tables() if table.key == key)


def warnings(part: Part) -> list[str]:
    return [block.text for block in part.blocks if isinstance(block, Remark) and block.is_warning]


def session(web: Asset, node: Node, person: User, at: datetime, **said: object) -> BastionSession:  # noqa: F811
    return BastionSession.objects.create(
        customer=web.customer, uid=uuid.uuid4(), node=node, person=person, asset=web, account="trops", protocol="ssh",
        front="ssh", client_address="192.0.2.7", allowed_at=at, opened_at=at, **said,
    )  # fmt: skip


def looked_at(web: Asset, at: datetime, score: int, lacking: tuple[str, ...] = ()) -> HardeningCheck:
    run = HardeningRun.objects.create(customer=web.customer, state="done", started_at=at, ended_at=at)
    check = HardeningCheck.objects.create(
        customer=web.customer, run=run, asset=web, state="done", score=score, failed=len(lacking), ended_at=at
    )
    for item in lacking:
        HardeningResult.objects.create(
            customer=web.customer, check_of=check, item=item, outcome="failed", reason="x", is_excepted=item == "banner"
        )
    return check


def test_security_center_number_by_number(jia: Customer, server: CloudServer, account: CloudAccount) -> None:  # noqa: F811
    estate = server.cloud.estate(JIA_UID)
    for name, found_at, said in (
        ("CVE-1", on(5), {}),
        ("CVE-1", on(6), {"instance_id": "i-2"}),
        ("KB1", START - DAY, {"kind": "sys", "need": "later"}),
        ("log4j", LAST, {"kind": "app", "need": "nntf"}),
        ("CVE-fixed", on(3), {"status": 7, "fixed_at": on(20)}),
        ("CVE-fixed-later", on(10), {"status": 7, "fixed_at": END}),
        ("CVE-ignored", START - DAY, {"status": 10}),
        ("CVE-next-month", END, {}),
    ):
        add_vulnerability(estate, **{"instance_id": "i-1", "name": name, "found_at": found_at, **said})  # type: ignore[arg-type]
    for at, level, status in ((START, "serious", 1), (LAST, "remind", 32), (END, "serious", 1)):
        add_suspicion(estate, instance_id="i-1", name="Unusual log-in", at=at, level=level, status=status)
    part = read(jia)
    assert {key: value(part, key) for key in ("vulnerabilities", "urgent", "found", "fixed")} == {
        "vulnerabilities": 5,
        "urgent": 3,
        "found": 5,
        "fixed": 1,
    }
    assert [value(part, key) for key in ("events", "serious", "unsettled")] == [2, 1, 1]
    assert [row[1:] for row in table(part, "vulnerabilities_by_kind").rows] == [
        (3, 0, 0), (0, 1, 0), (0, 0, 0), (0, 0, 1), (0, 0, 0)
    ]  # fmt: skip
    assert [(row[0], row[3]) for row in table(part, "vulnerabilities").rows] == [
        ("CVE-1", 2), ("CVE-fixed-later", 1), ("KB1", 1), ("log4j", 1)
    ]  # fmt: skip
    assert len(table(part, "security_events").rows) == 2
    assert server.cloud.calls(product="Sas") == 11


def test_what_could_not_be_read_is_said_and_never_none_found(
    jia: Customer,
    server: CloudServer,  # noqa: F811
    account: CloudAccount,  # noqa: F811
) -> None:
    server.cloud.fail(FaultKind.LOST_PAGE, 99, product="Sas")
    add_vulnerability(server.cloud.estate(JIA_UID), instance_id="i-1", name="CVE-1", found_at=on(5))
    part = read(jia)
    for key in ("vulnerabilities", "urgent", "found", "fixed", "events", "serious", "unsettled"):
        assert value(part, key) is None
        assert next(figure.note for figure in part.figures() if figure.key == key)
    assert any(account.name in text for text in warnings(part))
    assert {"vulnerabilities", "security_events"}.isdisjoint(one.key for one in part.tables())


def test_without_a_cloud_account_nothing_is_known_of_it(jia: Customer) -> None:
    part = read(jia)
    for key in ("vulnerabilities", "events", "hardening", "trail", "ram_unused"):
        assert value(part, key) is None
    assert value(part, "sessions") == 0


def test_hardening_scores_and_what_they_were_before(jia: Customer, web: Asset, chen: User, alice: User) -> None:
    Contact.objects.create(customer=jia, kind=Contact.Kind.PRIMARY, user=alice, phone=alice.phone, email=alice.email)
    unseen = make_server(jia, "web-02")
    looked_at(web, START - DAY, 60, ("ssh_port", "root_login", "banner"))
    looked_at(web, on(20), 84, ("ssh_port", "banner"))
    looked_at(web, END, 10, ("ssh_port", "root_login", "banner"))
    asked = exceptions.ask(
        asset=web, item="banner", reason="The appliance shows none", until=END + DAY, actor=chen, now=NOW
    )
    assert asked.attestation is not None
    attestations.sign(attestation=asked.attestation, actor=alice, ip=None, now=on(4))
    exceptions.answered(attestation_id=asked.attestation.pk, now=on(4))
    part = read(jia)
    assert [value(part, key) for key in ("hardening", "lacking", "excepted", "unseen")] == [84, 1, 1, 1]
    assert [row[:4] for row in table(part, "hardening").rows] == [
        ("web-01", 84, 60, 24),
        (unseen.name, None, None, None),
    ]
    assert [row[1] for row in table(part, "lacking").rows] == [1]
    assert [row[0] for row in table(part, "exceptions").rows] == ["web-01"]
    assert any(unseen.name in text for text in warnings(part))


def test_patches_done_and_due_with_the_quarterly_review(jia: Customer, web: Asset, chen: User) -> None:
    def patch(state: str, ended_at: datetime | None, operation: str = "linux-patch") -> Change:
        return Change.objects.create(
            customer=jia, title="OpenSSL", operation=operation, fields={"patch": "cve-1"}, risk="high", requester=chen,
            state=state, created_at=on(3), changed_at=on(3), begun_at=on(4), ended_at=ended_at,
        )  # fmt: skip

    patch("closed", on(10))
    patch("closed", LAST)
    patch("closed", END)
    patch("rolled_back", on(11))
    patch("preparing", None)
    patch("closed", on(12), operation="snapshot-create")
    review = RecurringDuty.objects.create(
        customer=jia, kind="patch_review", name_zh="评审", name_en="Review", rhythm="quarterly",
        first_due_on=date(2026, 3, 20), created_at=NOW,
    )  # fmt: skip
    DutyOccurrence.objects.create(customer=jia, duty=review, due_on=date(2026, 3, 20), opened_at=on(6))
    part = read(jia)
    assert [value(part, key) for key in ("patches", "patches_failed", "patches_due", "reviews_late")] == [2, 1, 2, 1]
    assert [row[2] for row in table(part, "patches").rows] == ["CVE-1"] * 5
    assert [row[:3] for row in table(part, "patch_reviews").rows] == [("2026-03-20", None, None)]
    DutyOccurrence.objects.update(done_at=on(25), done_by=chen, minutes="All agreed")
    held = read(jia)
    assert value(held, "reviews_late") == 0
    assert table(held, "patch_reviews").rows[0][3] == "All agreed"


def test_a_patch_that_failed_is_told_as_failed_and_is_no_longer_to_come(jia: Customer, web: Asset, chen: User) -> None:
    for finished_at in (START - SECOND, on(12), END):
        Change.objects.create(
            customer=jia, title="OpenSSL", operation="linux-patch", fields={"patch": "cve-1"}, risk="high",
            requester=chen, state="failed", created_at=START - 2 * DAY, changed_at=on(3), begun_at=START - DAY,
            finished_at=finished_at,
        )  # fmt: skip
    Change.objects.create(
        customer=jia, title="glibc", operation="linux-patch", fields={"patch": "cve-2"}, risk="high", requester=chen,
        state="closed", created_at=on(3), changed_at=on(3), begun_at=on(4), ended_at=on(5),
    )  # fmt: skip
    part = read(jia)
    assert [value(part, key) for key in ("patches", "patches_failed", "patches_due")] == [1, 1, 1]
    assert table(part, "patches").rows[0][5] is not None
    assert not [one for one in part.findings if one.tone == "good" and "patch" in one.text.lower()]


def test_sessions_commands_and_log_ins_past_the_bastion(
    jia: Customer,
    web: Asset,
    node: Node,  # noqa: F811
    chen: User,
    lin: User,
    alice: User,
) -> None:
    incident: Incident = raise_incident(alice, customer=jia)
    first = session(web, node, chen, START, incident=incident)
    session(web, node, chen, on(9), reason="look at the disk")
    session(web, node, lin, LAST)
    session(web, node, lin, END)
    for number, verdict in enumerate(("allow", "allow", "deny", "review"), 1):
        SessionCommand.objects.create(
            customer=jia, session=first, number=number, at=on(1), asset=web, person=chen, text="reboot", at_s=1.0,
            verdict=verdict,
        )  # fmt: skip
    for number, state in enumerate(("allowed", "denied", "lapsed"), 10):
        CommandReview.objects.create(
            customer=jia, session=first, number=number, text="reboot", state=state, asked_at=on(1), until=on(2),
            decided_at=on(2),
        )  # fmt: skip
    unread = read(jia)
    assert [value(unread, key) for key in ("direct", "unexplained")] == [None, None]
    assert any(web.name in text for text in warnings(unread))
    HardenedServer.objects.create(customer=jia, asset=web, logins_upto=END)
    for at, said in (
        (START - SECOND, {}),
        (on(7), {"explanation": "Console repair", "explained_by": lin, "explained_at": on(8)}),
        (LAST, {}),
    ):
        DirectLogin.objects.create(
            customer=jia,
            asset=web,
            at=at,
            account="root",
            source="198.51.100.9",
            found_in="journal",
            seen_at=at,
            **said,
        )
    part = read(jia)
    assert [value(part, key) for key in ("sessions", "people", "unmatched")] == [3, 2, 2]
    assert [value(part, key) for key in ("commands", "denied", "reviews", "reviews_allowed", "reviews_denied")] == [
        4, 1, 3, 1, 2
    ]  # fmt: skip
    assert [value(part, key) for key in ("direct", "explained", "unexplained")] == [2, 1, 1]
    assert table(part, "sessions_by_person").rows == (("Chen", 2, 1, 1), ("Lin", 1, 1, 1))
    assert [row[4] for row in table(part, "sessions_unmatched").rows] == ["look at the disk", ""]
    assert not any(web.name in text and "log" in text.lower() for text in warnings(part))


def event(account: CloudAccount, number: int, at: datetime, verdict: str, **said: object) -> None:  # noqa: F811
    TrailEvent.objects.create(
        customer=account.customer, cloud_account=account, event_id=f"e-{number}", occurred_at=at, seen_at=at,
        service="Ecs", action="StopInstance", verdict=verdict, **said,
    )  # fmt: skip


def test_the_audit_trail_by_verdict(
    jia: Customer,
    server: CloudServer,  # noqa: F811
    account: CloudAccount,  # noqa: F811
) -> None:
    assert value(read(jia), "trail") is None
    whole = {"read_until": END, "back_until": START, "back_goal": START}
    TrailReading.objects.create(
        customer=jia, cloud_account=account, region="cn-hangzhou", began_at=NOW, next_due_at=END, judged_at=END, **whole
    )
    for number, (at, verdict) in enumerate(
        ((START, "known"), (on(9), "known"), (on(9), "automation"), (on(9), "refused"), (LAST, "unmatched"),
         (END, "unmatched"))
    ):  # fmt: skip
        event(account, number, at, verdict)
    part = read(jia)
    assert [value(part, key) for key in ("trail", "trail_unexplained", "trail_suspicious", "trail_explained")] == [
        5, 1, 0, 80.0
    ]  # fmt: skip
    assert sum(int(str(row[1])) for row in table(part, "trail").rows) == 5
    assert len(table(part, "trail_unexplained").rows) == 1
    before = len(warnings(part))
    TrailReading.objects.create(
        customer=jia, cloud_account=account, region="ap-southeast-1", began_at=NOW, next_due_at=END, judged_at=END,
        **{**whole, "back_until": on(20)},
    )  # fmt: skip
    assert len(warnings(read(jia))) == before + 1, "one region is not read from the beginning"
    TrailReading.objects.filter(region="cn-hangzhou").update(read_until=on(20))
    assert "未在其全部地域读取" in " ".join(warnings(read(jia))), "no day is read in both"


def test_credentials_by_age(
    jia: Customer,
    web: Asset,
    server: CloudServer,  # noqa: F811
    account: CloudAccount,  # noqa: F811
) -> None:
    mirrored = Credential.objects.filter(cloud_account=account).count()
    host = Credential.objects.filter(asset=web)
    host.filter(username="trops").update(rotation_due_at=LAST, secret_set_at=END - 90 * DAY)
    host.filter(username="xxadmin").update(rotation_due_at=END)
    host.filter(username="www").update(secret_set_at=None)
    Credential.objects.create(
        customer=jia, asset=web, kind="key_pair", purpose="operations", username="trops", created_at=NOW,
        secret_set_at=NOW, last_used_at=None,
    )  # fmt: skip
    Credential.objects.create(customer=jia, asset=web, kind="host", username="gone", created_at=NOW, retired_at=LAST)
    Credential.objects.create(customer=jia, asset=web, kind="host", username="later", created_at=END)
    for flaw, found_at, gone_at in (
        ("unused_key", on(5), None), ("unused_key", on(6), END), ("unused_key", on(6), LAST), ("old_key", END, None)
    ):  # fmt: skip
        RamFinding.objects.create(
            customer=jia, account=account, flaw=flaw, user=f"u{found_at}{gone_at}", found_at=found_at, gone_at=gone_at
        )
    part = read(jia)
    known = Credential.objects.filter(cloud_account=account, kind="access_key", last_used_at=None).count()
    assert value(part, "credentials") == mirrored + 4
    assert [value(part, key) for key in ("rotation_due", "ageless")] == [1, 1]
    assert value(part, "keys_unused") == known + 1
    assert [value(part, key) for key in ("ram_unused", "ram_old")] == [2, 0]
    assert [(row[0], row[3]) for row in table(part, "rotation_due").rows] == [("trops", 90 * 86_400)]


def test_another_customers_rows_are_in_no_number(
    jia: Customer,
    yi: Customer,
    node: Node,  # noqa: F811
    chen: User,
) -> None:
    with scope.customer(yi):
        session(make_server(yi, "yi-01"), node, chen, on(9))
    assert value(read(jia), "sessions") == 0
    with scope.customer(yi):
        assert value(read(yi), "sessions") == 1


def test_every_block_says_where_it_comes_from(jia: Customer, web: Asset) -> None:
    part = read(jia)
    sources = [figure.source for figure in part.figures()] + [one.source for one in part.tables()]
    assert all(source.how and source.query for source in sources)
    paths = {source.path for source in sources if source.path}
    assert all(path.endswith(f"customer={jia.pk}") for path in paths)


def test_what_stands_at_a_moment_began_before_it_and_had_not_ended() -> None:
    spans = [(on(1), None), (on(1), on(9)), (on(1), on(10)), (on(10), None), (on(2), on(3))]
    assert figures.standing(spans, on(10)) == 2
    assert figures.within([None, on(9), on(10), on(11)], on(9), on(11)) == 2
    assert figures.mean([None, 2, 4]) == 3
    assert figures.mean([None]) is None
