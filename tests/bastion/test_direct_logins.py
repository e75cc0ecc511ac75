"""What went round the bastion: found on a server, told apart, reported once, explained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset, SshAccess
from bastion.hardening.logins import Login, Read
from bastion.models import BastionSession, DirectLogin, HardenedServer, Node, SessionFact
from bastion.services import authorising
from bastion.services.hardening import direct, policies
from bastion.services.hardening.policies import Terms
from incidents.models import Incident, TimelineEntry
from tests.bastion.conftest import wish_for
from tests.changes.hosts import KeyHost, place_host
from tests.conftest import NOW


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyHost]:
    with KeyHost(tmp_path_factory.mktemp("host")).running() as host:
        yield host


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def login(seconds: float, account: str = "trops", source: str = "198.51.100.9", **said: object) -> Login:
    return Login(ago(seconds), account, source, **{"port": 4022, "method": "password", **said})  # type: ignore[arg-type]


def told(*logins: Login, is_blind: bool = False, since: datetime | None = None, skew_s: float = 0) -> Read:
    ordered = tuple(sorted(logins, key=lambda one: one.at))
    return Read(ordered, skew_s, is_blind, since, () if is_blind else ("journal",))


def keep(asset: Asset, said: Read | None, *, problem: str = "", now: datetime = NOW) -> int:
    return direct.keep(asset=asset, said=said, problem=problem, asked_from=now - timedelta(days=1), now=now)


@pytest.fixture
def session(web: Asset, node: Node, chen: User, root: User) -> BastionSession:
    with scope.platform("test"):
        return authorising.authorise(person=root, wish=wish_for(web), node=node, now=ago(600))


def test_a_direct_log_in_becomes_an_incident_that_the_customer_sees(web: Asset) -> None:
    assert keep(web, told(login(300, "root", key="ED25519 SHA256:x"), login(200, "root"))) == 2
    incident = Incident.objects.get()
    assert (incident.kind, incident.severity, incident.source) == ("incident", 2, "monitoring")
    assert "web-01" in incident.title
    assert "198.51.100.9" in incident.title
    assert "SHA256:x" in incident.description
    assert [one.incident_id for one in DirectLogin.objects.all()] == [incident.pk] * 2
    assert incident.assets.get() == web


def test_what_was_told_once_is_not_told_again(web: Asset) -> None:
    for _ in range(3):
        keep(web, told(login(300), login(200, source="10.9.9.9")))
    assert DirectLogin.objects.count() == 2
    assert Incident.objects.count() == 2
    assert keep(web, told(login(309))) == 0


def test_more_from_the_same_source_joins_its_incident(web: Asset) -> None:
    keep(web, told(login(300)))
    keep(web, told(login(100, "xxadmin")), now=NOW + timedelta(hours=1))
    incident = Incident.objects.get()
    entries = TimelineEntry.objects.filter(incident=incident, kind="alert")
    assert [("xxadmin" in entry.body) for entry in entries] == [True]
    Incident.objects.update(state="closed")
    keep(web, told(login(-7000)), now=NOW + timedelta(hours=2))
    assert Incident.objects.count() == 2


def test_a_session_of_the_bastion_is_no_direct_log_in(web: Asset, session: BastionSession) -> None:
    """The node is the platform's and nobody has said from where it comes: account and time have to fit."""
    assert keep(web, told(login(595, source="10.8.0.4"))) == 0
    assert keep(web, told(login(595, source="10.8.0.4"), login(590, source="10.8.0.4", port=9))) == 1
    assert keep(web, told(login(594, "root", "10.8.0.4"))) == 1


def test_a_session_with_a_name_of_ones_own_is_none_either(web: Asset, session: BastionSession) -> None:
    """What the server writes down is the name alone."""
    with scope.platform("test"):
        BastionSession.objects.update(account="+own:deploy")
    assert keep(web, told(login(595, "deploy", "10.8.0.4"))) == 0
    assert keep(web, told(login(590, "trops", "10.8.0.4", port=9))) == 1


def test_a_session_that_had_to_connect_anew_hours_later_is_none_either(web: Asset, session: BastionSession) -> None:
    """A forward whose connection to the server broke: the node says when it made another one."""
    late = NOW + timedelta(hours=5)
    one = Login(late, "trops", "10.8.0.4", port=4022, method="password")
    fact = SessionFact(session=session, customer_id=session.customer_id, number=1, at=late, kind="linked")
    with scope.platform("test"):
        fact.save()
    assert keep(web, told(one), now=late + timedelta(minutes=5)) == 0
    again = replace(one, at=late + timedelta(seconds=20), port=9)
    assert keep(web, told(one, again), now=late + timedelta(minutes=5)) == 1, "one connection explains one log-in"


def test_once_the_bastions_address_is_known_others_are_not_it(
    jia: Customer, web: Asset, session: BastionSession, lin: User
) -> None:
    policies.save(customer=jia, terms=Terms(bastions=("10.8.0.4",)), actor=lin, now=NOW)
    assert keep(web, told(login(595, source="10.8.0.4"))) == 0
    assert keep(web, told(login(595, source="203.0.113.9"))) == 1


def test_the_platforms_own_connections_are_known(jia: Customer, web: Asset, chen: User, host: KeyHost) -> None:
    """Read from a real host twice: the second time it tells of the first, which came from the platform."""
    asset = place_host(jia, host, "db-7")
    assert direct.read(assets=[asset], clock=lambda: NOW) == 0
    server = HardenedServer.objects.get(asset=asset)
    assert server.platform == ["127.0.0.1"]
    used = AuditEntry.objects.filter(action="secret.use").latest("pk").at
    ours = Login(used + timedelta(seconds=2), host.user, "127.0.0.1", 50_000)
    assert keep(asset, told(ours), now=used + timedelta(minutes=1)) == 0
    assert keep(asset, told(Login(used, "somebody", "127.0.0.1", 50_001)), now=used + timedelta(minutes=1)) == 1


def test_a_real_host_tells_its_log_ins(jia: Customer, host: KeyHost) -> None:
    asset = place_host(jia, host, "db-7")
    now = datetime.now(NOW.tzinfo)
    moment = int((now - timedelta(minutes=10)).timestamp() * 1_000_000)
    words = "Accepted password for root from 198.51.100.9 port 4022 ssh2"
    said = f"__REALTIME_TIMESTAMP={moment}\n_PID=7\nMESSAGE={words}\n"
    host.stand_in("journalctl", f"printf '%s\\n\\n' '{said}'")
    host.stand_in("last", "exit 0")
    host.stand_in("id", '[ "$1" = -u ] && echo 0 && exit; echo root')
    try:
        assert direct.read(assets=[asset], clock=lambda: now) == 1
    finally:
        for name in ("journalctl", "last", "id"):
            (host.place / "bin" / name).unlink()
    row = DirectLogin.objects.get()
    assert (row.account, row.source, row.found_in, row.method) == ("root", "198.51.100.9", "journal", "password")
    assert abs((row.at - (now - timedelta(minutes=10))).total_seconds()) < 30
    server = HardenedServer.objects.get(asset=asset)
    assert (server.logins_problem, server.logins_upto) == ("", now)


def test_who_cannot_be_asked_keeps_the_mark(web: Asset) -> None:
    keep(web, told(login(300)))
    upto = HardenedServer.objects.get(asset=web).logins_upto
    later = NOW + timedelta(hours=5)
    for said, problem, code in (
        (None, "unreachable", "unreachable"),
        (None, "", "no_answer"),
        (told(is_blind=True), "", "blind"),
    ):
        assert keep(web, said, problem=problem, now=later) == 0
        server = HardenedServer.objects.get(asset=web)
        assert (server.logins_problem, server.logins_upto) == (code, upto)
    assert direct._since(server, later) == NOW - direct.OVERLAP


def test_records_that_were_thrown_away_are_said(web: Asset) -> None:
    keep(web, told())
    later = NOW + timedelta(hours=5)
    keep(web, told(since=NOW + timedelta(hours=4)), now=later)
    assert HardenedServer.objects.get(asset=web).logins_gap_at == NOW + timedelta(hours=4)


def test_a_log_in_that_ends_later_is_the_same(web: Asset) -> None:
    keep(web, told(login(300)))
    keep(web, told(login(300, ended_at=ago(10))))
    assert DirectLogin.objects.get().ended_at == ago(10)


def test_a_moment_to_come_or_long_past_is_nobodys(web: Asset) -> None:
    assert keep(web, told(login(-3600), login(3 * 86_400))) == 0


def test_a_server_that_makes_them_up_raises_no_flood(web: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "MOST_NEW", 30)
    made_up = told(*(login(300 + number, source=f"203.0.113.{number}") for number in range(50)))
    assert [keep(web, made_up) for _ in range(3)] == [30, 20, 0]
    assert Incident.objects.count() == 1
    assert DirectLogin.objects.exclude(incident=None).count() == 50


@pytest.mark.parametrize(
    ("account", "source", "severity"),
    [("root", "10.0.0.9", 2), ("trops", "8.8.8.8", 2), ("trops", "10.0.0.9", 3), ("bob", "", 3)],
)
def test_how_bad_it_is(web: Asset, account: str, source: str, severity: int) -> None:
    keep(web, told(login(300, account, source)))
    assert Incident.objects.get().severity == severity


def test_servers_have_their_turns(
    jia: Customer, yi: Customer, lin: User, host: KeyHost, web: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = place_host(jia, host, "db-1"), place_host(jia, host, "db-2")
    SshAccess.objects.filter(asset=two).update(host_key="")
    with scope.platform("test"):
        assert direct.follow_servers(now=NOW) == 1
        assert direct.claim(now=NOW) == [(jia.pk, one.pk)]
        assert direct.claim(now=NOW) == []
        assert direct.claim(now=NOW + direct.EVERY) == [(jia.pk, one.pk)]
    policies.save(customer=jia, terms=Terms(reads_logins=False), actor=lin, now=NOW)
    with scope.platform("test"):
        assert direct.follow_servers(now=NOW) == 0
        assert direct.claim(now=NOW + timedelta(days=1)) == []


def test_an_explanation_is_kept_with_whose_it_was(web: Asset, bob: User, vera: User, eve: User) -> None:
    keep(web, told(login(300), login(200), login(100, "root")))
    first, second, other = DirectLogin.objects.order_by("at")
    for person in (vera, eve):
        with pytest.raises(PermissionDenied):
            direct.explain(login=first, words="It was me, really", actor=person, now=NOW)
    with pytest.raises(DomainError):
        direct.explain(login=first, words="me", actor=bob, now=NOW)
    assert direct.explain(login=first, words="The hoster's engineer", actor=bob, now=NOW, is_all=True) == 2
    for row in (first, second, other):
        row.refresh_from_db()
    assert (first.explanation, second.explained_by, other.explained_at) == ("The hoster's engineer", bob, None)
    with pytest.raises(DomainError):
        direct.explain(login=second, words="Once more the same", actor=bob, now=NOW)
    assert AuditEntry.objects.get(action="hardening.explain").detail["logins"] == [first.pk, second.pk]
