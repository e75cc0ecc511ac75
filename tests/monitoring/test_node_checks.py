"""Checks that a customer's node carries: what it is given, what of its results is believed, and what they change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError, transaction

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset, SshAccess
from bastion.models import Node
from monitoring import storage
from monitoring.collectors import errand
from monitoring.collectors.config import Kind
from monitoring.collectors.errand import Result, Sample
from monitoring.collectors.places import REFUSED, TIMED_OUT, Answer
from monitoring.models import Alert, Health, HostReading, ProbePoint, Series, Target, Through
from monitoring.services import claims, node_checks, sites, targets
from tests.conftest import NOW, ClientFor
from tests.monitoring.samples import alerts, server

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
RESULT = "port.result_code"
LABELS = 'port="80"'


def a_node(customer: Customer, name: str = "one", *, seen_at: datetime | None = NOW) -> Node:
    with scope.platform("test"):
        return Node.objects.create(
            customer=customer, name=name, state=Node.State.ENROLLED, public_key=f"{customer.pk} {name}",
            created_at=NOW, enrolled_at=NOW, seen_at=seen_at,
        )  # fmt: skip


@pytest.fixture
def node(jia: Customer) -> Node:
    return a_node(jia)


@pytest.fixture
def web(node: Node, jia: Customer) -> Iterator[Asset]:
    with scope.customer(jia):
        yield server(jia, host="10.0.0.5")


def carried(asset: Asset, kind: Kind = Kind.TCP, **options: Any) -> Target:
    configs: dict[Kind, dict[str, object]] = {
        Kind.TCP: {"host": "10.0.0.5", "port": 80},
        Kind.HTTP: {"url": "http://10.0.0.5/"},
        Kind.STATE: {"url": "http://10.0.0.5:9101/state"},
        Kind.PROMETHEUS: {"url": "http://10.0.0.5:9101/metrics"},
        Kind.TLS: {"host": "10.0.0.5", "port": 443},
    }
    made: dict[str, Any] = {"actor": None, "now": NOW - timedelta(hours=8), "through": Through.NODE}
    return targets.create(asset=asset, kind=kind, config=configs[kind], **{**made, **options})


def sample(at: datetime, value: float = 0.0, metric: str = RESULT, labels: str = LABELS) -> Sample:
    return (metric, labels, round(at.timestamp() * 1000), value)


def look(target: Target, at: datetime, *samples: Sample, **said: Any) -> Result:
    return Result(target.pk, at.timestamp(), 1.5, list(samples), **said)


def take(customer: Customer, *results: Result, now: datetime = NOW) -> None:
    body = errand.joined([errand.encode(one) for one in results])
    node_checks.take(customer_id=customer.pk, body=body, now=now)


def stored(asset: Asset, metric: str = RESULT) -> list[tuple[datetime, float]]:
    series = Series.objects.filter(asset=asset, metric=metric).first()
    if series is None:
        return []
    start, end = NOW - timedelta(days=1), NOW + timedelta(days=1)
    column = storage.read(asset_id=asset.pk, series_ids=[series.pk], start=start, end=end)[series.pk]
    return [(datetime.fromtimestamp(ts / 1000, UTC), value) for ts, value in zip(column.ts, column.value, strict=True)]


# --- who asks ---------------------------------------------------------------------------------------------------------


def test_what_a_node_asks_is_claimed_by_nobody_here_and_is_late_as_others(web: Asset) -> None:
    target = carried(web)
    with scope.platform("test"):
        assert claims.claim(now=NOW) == []
    assert target.health(NOW) is Health.LATE
    take(web.customer, look(target, NOW, sample(NOW)))
    target.refresh_from_db()
    assert (target.health(NOW + 2 * MINUTE), target.last_run_at, target.last_samples) == (Health.OK, NOW, 1)
    assert target.health(NOW + 9 * MINUTE) is Health.LATE


def test_what_only_a_node_reaches_is_asked_by_it_unless_somebody_says_otherwise(web: Asset, jia: Customer) -> None:
    assert targets.create_defaults(asset=web, actor=None, now=NOW)[0].through == Through.DIRECT
    behind = server(jia, "db-01", host="10.0.0.6")
    SshAccess.objects.create(
        customer=jia, asset=behind, host="10.0.0.6", port=22, pinned_at=NOW, through=SshAccess.Through.NODE
    )
    assert targets.create_defaults(asset=behind, actor=None, now=NOW)[0].through == Through.NODE
    domain = targets.create(asset=behind, kind=Kind.DOMAIN, config={"domain": "a.example"}, actor=None, now=NOW)
    assert domain.through == Through.DIRECT
    config = {"host": "10.0.0.6", "port": 1}
    said = targets.create(asset=behind, kind=Kind.TCP, config=config, actor=None, now=NOW, through=Through.DIRECT)
    assert said.through == Through.DIRECT
    Node.objects.update(state=Node.State.REVOKED, revoked_at=NOW)
    assert targets.usual_way(behind, Kind.TCP, now=NOW) == Through.DIRECT


def test_a_customer_without_a_node_of_its_own_is_told_so_and_so_is_who_wants_what_no_node_asks(
    web: Asset, yi: Customer, node: Node
) -> None:
    a_node(yi)
    with pytest.raises(DomainError) as refusal:
        carried(web, Kind.TCP, through="elsewhere")
    assert refusal.value.code == "through"
    with pytest.raises(DomainError) as refusal:
        targets.create(
            asset=web, kind=Kind.DOMAIN, config={"domain": "a.example"}, actor=None, now=NOW, through=Through.NODE
        )
    assert refusal.value.code == "through"
    Node.objects.filter(pk=node.pk).update(state=Node.State.REVOKED, revoked_at=NOW)
    with pytest.raises(DomainError) as refusal:
        carried(web)
    assert refusal.value.code == "no_node"


def test_another_way_begins_anew_and_is_audited(web: Asset, lin: User) -> None:
    target = carried(web, through=Through.DIRECT)
    Target.objects.filter(pk=target.pk).update(state={"facts": {"version": "1"}})
    said = {"config": target.config, "name": "", "period_s": 60, "actor": lin}
    changed = targets.change(target=target, now=NOW, through=Through.NODE, **said)
    assert (changed.through, changed.state) == (Through.NODE, {})
    [entry] = AuditEntry.objects.filter(action="target.change")
    assert (entry.detail["before"]["through"], entry.detail["after"]["through"]) == ("direct", "node")
    Target.objects.filter(pk=target.pk).update(allow_internal=True)
    with pytest.raises(DomainError) as refusal:
        targets.change(target=target, now=NOW, through=Through.DIRECT, **said)
    assert refusal.value.code == "not_allowed", "it was allowed for one network, not for the other"


def test_nobody_tests_here_what_a_node_asks(web: Asset, lin: User) -> None:
    target = carried(web)
    with pytest.raises(DomainError) as refusal:
        targets.test_now(target=target, actor=lin, now=NOW)
    assert refusal.value.code == "asked_by_node"
    with pytest.raises(DomainError) as refusal:
        targets.try_before_saving(
            asset=web, kind=Kind.TCP, config=target.config, actor=lin, now=NOW, through=Through.NODE
        )
    assert refusal.value.code == "asked_by_node"


# --- what it is given -------------------------------------------------------------------------------------------------


def test_it_is_given_its_customers_checks_with_the_secrets_apart(
    web: Asset, yi: Customer, settings: LazySettings
) -> None:
    settings.CHECK_PERIOD_S = 5
    port, page = carried(web), carried(web, Kind.PROMETHEUS, token="a-token-of-good-length")
    carried(web, Kind.TLS, through=Through.DIRECT)
    off = carried(web, Kind.STATE)
    Target.objects.filter(pk=off.pk).update(is_enabled=False)
    a_node(yi)
    with scope.customer(yi):
        carried(server(yi, "theirs"))
    found = node_checks.assignment(customer_id=web.customer_id, known="", now=NOW)
    assert found is not None
    checks = {check["target"]: check for check in json.loads(found.body)}
    assert (found.size, set(checks)) == (2, {port.pk, page.pk})
    assert json.loads(found.secrets) == {str(page.pk): "a-token-of-good-length"}
    assert b"a-token" not in found.body
    assert [checks[one.pk]["needs_secret"] for one in (port, page)] == [False, True]
    made = errand.check_of(checks[port.pk], "")
    assert (made.kind, made.job.config, made.job.period_s, made.phase) == ("tcp", port.parsed_config, 5, port.phase)


def test_it_hears_only_of_what_is_new(web: Asset, lin: User) -> None:
    def version(known: str) -> str | None:
        found = node_checks.assignment(customer_id=web.customer_id, known=known, now=NOW)
        return found.version if found else None

    known, target = version(""), carried(web)
    for change in (
        lambda: targets.set_enabled(target=target, enabled=False, actor=lin, now=NOW),
        lambda: targets.set_enabled(target=target, enabled=True, actor=lin, now=NOW + MINUTE),
        lambda: carried(web, Kind.HTTP),
        lambda: targets.remove(target=target, actor=lin, now=NOW),
    ):
        new = version(known or "")
        assert new not in (None, known)
        assert version(new or "") is None
        known = new
        change()


# --- what is believed -------------------------------------------------------------------------------------------------


def test_figures_are_stored_at_their_own_moments_and_once(web: Asset) -> None:
    target = carried(web)
    looks = [look(target, NOW - number * MINUTE, sample(NOW - number * MINUTE)) for number in (3, 1, 2)]
    take(web.customer, *looks)
    take(web.customer, *looks)
    assert [at for at, _value in stored(web)] == [NOW - number * MINUTE for number in (3, 2, 1)]
    target.refresh_from_db()
    assert target.last_ok_at == NOW - MINUTE


def test_a_node_is_believed_about_its_own_customers_targets_that_it_is_to_ask(web: Asset, yi: Customer) -> None:
    a_node(yi)
    with scope.customer(yi):
        theirs = carried(server(yi, "theirs"))
    mine = carried(web)
    direct = carried(web, Kind.PROMETHEUS, through=Through.DIRECT)
    off = carried(web, Kind.STATE)
    Target.objects.filter(pk=off.pk).update(is_enabled=False)
    gone = Target(pk=10**9)
    take(web.customer, *(look(one, NOW, sample(NOW, 1.0)) for one in (theirs, direct, off, gone, mine)))
    with scope.platform("test"):
        ran = set(Target.objects.exclude(last_run_at=None).values_list("pk", flat=True))
        assert (ran, Series.objects.get().asset_id) == ({mine.pk}, web.pk)


def test_what_cannot_be_is_passed_over(web: Asset, settings: LazySettings) -> None:
    target = carried(web)
    good, then = sample(NOW), NOW - timedelta(hours=7, minutes=1)
    hostile = [
        sample(NOW, metric="no.such.metric"), sample(NOW, metric="' OR 1=1"), sample(NOW, labels="port=80"),
        sample(NOW, labels='port="80",port="81"'), sample(NOW + 3 * MINUTE), sample(then),
    ]  # fmt: skip
    take(
        web.customer, look(target, NOW, *hostile, good), look(target, NOW + 3 * MINUTE, good), look(target, then, good)
    )
    with scope.customer(web.customer):
        [series] = Series.objects.all()
    assert (series.metric, series.labels, [at for at, _value in stored(web)]) == (RESULT, LABELS, [NOW])
    target.refresh_from_db()
    assert (target.last_run_at, target.last_samples) == (NOW, 1)
    settings.REMOTE_SERIES = 1
    take(web.customer, look(target, NOW + MINUTE, sample(NOW + MINUTE, metric="port.connect_ms"), sample(NOW + MINUTE)))
    assert len(stored(web)) == 2
    assert Series.objects.count() == 1, "no customer has more series than it may"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[1]", b"\xff", b'[{"target":1}]', b'[{"target":"1","at":1}]', b'[{"target":-1,"at":1}]',
        b'[{"target":99999999999999999999,"at":1}]', b'[{"target":1,"at":1e999}]', b"[" * 5000,
        b'[{"target":1,"at":1,"samples":[["a","b",-1,2]]}]', b'[{"target":1,"at":1,"answer":{"point":1}}]',
        b'[{"target":1,"at":1,"facts":{"a":"\\ud800"}}]',
        b"[" + b",".join([b'{"target":1,"at":1}'] * (errand.MOST_RESULTS + 1)) + b"]",
    ],
)  # fmt: skip
def test_what_is_no_body_of_results_is_said(web: Asset, body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them: the caller asks for nothing more
        node_checks.take(customer_id=web.customer_id, body=body, now=NOW)


def test_a_text_with_a_nul_is_kept_without_it(web: Asset) -> None:
    target = carried(web)
    take(web.customer, look(target, NOW, problem=("refused", "no\0thing"), facts={"version": "1\0"}))
    target.refresh_from_db()
    assert (target.problem_detail, target.facts) == ("nothing", {"version": "1"})


# --- what it changes --------------------------------------------------------------------------------------------------


def test_what_is_older_changes_no_row(web: Asset) -> None:
    target = carried(web)
    take(web.customer, look(target, NOW, sample(NOW)))
    late = NOW - 5 * MINUTE
    take(web.customer, look(target, late, sample(late), problem=("refused", "")))
    target.refresh_from_db()
    assert (target.last_run_at, target.problem_code, target.failures) == (NOW, "", 0)
    assert [at for at, _value in stored(web)] == [late, NOW], "the graph has it"
    take(web.customer, look(target, NOW + MINUTE, problem=("refused", "")), now=NOW + MINUTE)
    target.refresh_from_db()
    assert (target.problem_code, target.failures, target.problem_since) == ("refused", 1, NOW + MINUTE)
    Target.objects.filter(pk=target.pk).update(changed_at=NOW + 3 * MINUTE)
    take(web.customer, look(target, NOW + 2 * MINUTE), now=NOW + 4 * MINUTE)
    target.refresh_from_db()
    assert target.problem_code == "refused", "it was asked about what it is no more"


def test_several_looks_at_one_target_in_one_body_count_each(web: Asset) -> None:
    target = carried(web)
    take(web.customer, *(look(target, NOW - n * MINUTE, problem=("refused", "")) for n in (2, 0, 1)))
    target.refresh_from_db()
    assert (target.failures, target.problem_since, target.last_run_at) == (3, NOW - 2 * MINUTE, NOW)


def test_what_failed_after_its_figures_were_stored_leaves_nothing_behind(
    web: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, jia = carried(web), web.customer
    with monkeypatch.context() as broken, pytest.raises(OperationalError), transaction.atomic():
        broken.setattr(node_checks, "settle", _fails)
        take(jia, look(target, NOW, sample(NOW)))
    assert Series.objects.count() == 0
    take(jia, look(target, NOW, sample(NOW)))
    assert [at for at, _value in stored(web)] == [NOW], "under a number that is there"


def _fails(*_args: object, **_said: object) -> None:
    raise OperationalError("the connection is lost")


def bad(target: Target, *minutes: float, value: float = 2.0, problem: tuple[str, str] | None = None) -> list[Result]:
    moments = [NOW + n * MINUTE for n in minutes]
    return [look(target, at, sample(at, value), problem=problem) for at in moments]


def test_three_bad_results_alarm_and_neither_silence_nor_what_is_older_ends_it(web: Asset) -> None:
    target, jia = carried(web), web.customer
    take(jia, *bad(target, 0, 1, 2), now=NOW + 2 * MINUTE)
    [alert] = alerts(jia)
    assert (alert.rule_id, alert.recovered_at, alert.first_breach_at) == ("port-not-running", None, NOW)
    hour = timedelta(hours=1)
    take(jia, *bad(target, -5, -4, -3, -2, value=0.0), now=NOW + hour)
    assert [one.recovered_at for one in alerts(jia)] == [None], "it was well before, that is not news"
    take(jia, *bad(target, 60), now=NOW + hour)
    assert [one.recovered_at for one in alerts(jia)] == [None], "nobody looked for an hour, and it is still bad"
    take(jia, *bad(target, 0.5, 1.5, 2.5, 3.5, 4.5, value=0.0), now=NOW + hour)
    assert [one.recovered_at for one in alerts(jia)] == [None], "another node brings what is older"
    take(jia, *bad(target, 61, 62, 63, value=0.0), now=NOW + hour + 3 * MINUTE)
    [ended] = alerts(jia)
    assert ended.recovered_at is not None


def test_what_went_bad_and_well_again_while_the_portal_was_away_leaves_nothing_open(web: Asset) -> None:
    target, jia = carried(web), web.customer
    take(jia, *bad(target, 0, value=0.0))
    away = [*bad(target, *range(1, 30)), *bad(target, *range(30, 60), value=0.0)]
    take(jia, *away, now=NOW + 61 * MINUTE)
    assert [one.recovered_at is None for one in alerts(jia)] == [False]
    assert len(stored(web)) == 60


def answer(code: int = 0, **said: Any) -> Answer:
    return Answer("somewhere", code, 12.0, status=200 if code == 0 else 0, **said)


def test_a_site_is_judged_here_by_what_the_node_found(web: Asset) -> None:
    target, jia = carried(web, Kind.HTTP), web.customer
    for number, code in enumerate((0, TIMED_OUT, REFUSED, TIMED_OUT)):
        at = NOW + number * MINUTE
        take(jia, look(target, at, answer=answer(code)), now=at)
    assert [value for _at, value in stored(web, "url.result_code")] == [0, 1, 1, 1]
    row = ProbePoint.objects.get(target=target)
    assert (row.point, row.code, row.bad_rounds) == ("node", TIMED_OUT, 3)
    assert [one.recovered_at for one in alerts(jia)] == [None]
    take(jia, look(target, NOW + 9 * MINUTE, answer=answer(77)), look(target, NOW + 9 * MINUTE), now=NOW + 9 * MINUTE)
    target.refresh_from_db()
    assert target.problem_code == "points_missing", "neither good nor bad"
    assert len(stored(web, "url.result_code")) == 4


def test_a_certificate_that_fails_three_times_alarms_at_its_own_moments(web: Asset) -> None:
    target, jia = carried(web, Kind.TLS), web.customer
    metric, labels = "tls.result_code", 'host="10.0.0.5",port="443"'
    looks = [look(target, at, sample(at, 1.0, metric, labels)) for at in (NOW + n * MINUTE for n in range(3))]
    take(jia, *looks, now=NOW + timedelta(hours=1))
    assert [one.rule_id for one in alerts(jia) if one.rule_id == "tls-failed"] == ["tls-failed"]
    assert ProbePoint.objects.get(target=target).since == NOW


def reading(*names: str) -> dict[str, Any]:
    accounts = {name: {"uid": 1000 + number} for number, name in enumerate(names)}
    facts = {"format": 1, "key": "k", "hostname": names[-1], "users": {"state": "ok", "items": accounts}}
    return {"facts": facts, "texts": {}}


def test_a_hosts_state_is_compared_in_order_of_time_alone(web: Asset) -> None:
    target, jia = carried(web, Kind.STATE), web.customer
    take(jia, look(target, NOW, reading=reading("one")))
    take(jia, look(target, NOW + MINUTE, reading=reading("two")), now=NOW + MINUTE)
    version = HostReading.objects.get(asset=web).version
    take(jia, look(target, NOW - MINUTE, reading=reading("zero")), now=NOW + 2 * MINUTE)
    row = HostReading.objects.get(asset=web)
    assert (row.version, row.facts["hostname"]) == (version, "two")


def test_the_pages_say_who_asks(web: Asset, lin: User, client_for: ClientFor, node: Node) -> None:
    target = carried(web)
    browser = client_for(lin)
    page = browser.get(f"/monitoring/targets/{target.pk}/").content.decode()
    assert node.name in page
    assert f"/monitoring/targets/{target.pk}/test/" not in page
    assert browser.get("/monitoring/targets/").status_code == 200
    site = carried(web, Kind.HTTP)
    assert [place.slug for place in sites.places_of(site, now=NOW)] == ["node"]
    assert browser.get(f"/monitoring/sites/{site.pk}/").status_code == 200
    config = {"host": "10.0.0.5", "port": 81, "timeout_s": 5, "period_s": 60, "through": "node"}
    assert browser.post(f"/monitoring/targets/new/{web.pk}/tcp/", config).status_code == 302
    made = Target.objects.latest("pk")
    assert (made.through, made.config["port"]) == (Through.NODE, 81)
    edited = browser.post(f"/monitoring/targets/{made.pk}/edit/", config | {"through": "direct"})
    assert (edited.status_code, Target.objects.get(pk=made.pk).through) == (302, Through.DIRECT)
    assert b'name="through"' not in browser.get(f"/monitoring/targets/new/{web.pk}/domain/").content
    Node.objects.all().delete()
    assert browser.get(f"/monitoring/targets/{target.pk}/").status_code == 200
    assert Alert.objects.count() == 0
