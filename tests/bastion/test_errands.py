"""Errands as the portal gives them to nodes and takes their answers: who gets them, and each answer once, in order."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from types import ModuleType

import pytest
from django.conf import LazySettings
from django.db import DataError, OperationalError, connection
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, User
from bastion.gateway import wire
from bastion.models import Node, NodeErrand
from bastion.services import enrolling, errands
from bastion.services.node_watch import TELL_AFTER
from monitoring.collectors import errand
from monitoring.collectors.config import Kind
from monitoring.collectors.errand import Result
from monitoring.models import Target, Through
from monitoring.services import targets
from tests.bastion.test_node_api import Speaker
from tests.conftest import ClientFor
from tests.monitoring.samples import server

pytestmark = pytest.mark.django_db


class Asker(ModuleType):
    """Another part of the platform, whose errands are words."""

    def __init__(self) -> None:
        super().__init__("tests.bastion.asker")
        self.taken: list[tuple[int, bytes]] = []
        self.problem: Exception | None = None

    def assignment(self, *, customer_id: int, known: str, now: datetime) -> wire.Errand | None:
        made = wire.Errand("7", 1, b'["walk"]', b'{"key":"1"}')  # type: ignore[arg-type]  # bytes, as the protocol has it
        return None if known == made.version else made

    def take(self, *, customer_id: int, body: bytes, now: datetime) -> None:
        self.taken.append((customer_id, body))
        if self.problem is not None:
            raise self.problem
        NodeErrand.objects.filter(kind="words").update(refused=77)


@pytest.fixture
def asker(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Asker:
    made = Asker()
    monkeypatch.setitem(sys.modules, made.__name__, made)
    settings.NODE_ERRANDS = {"words": made.__name__}
    return made


def speaker_of(customer: Customer | None, name: str) -> Speaker:
    made = Speaker()
    with scope.platform("test"):
        _node, token = enrolling.announce(name=name, customer=customer, actor=None, now=timezone.now())
    assert made.enrol(token) == 200
    return made


def asks(speaker: Speaker, version: str = "", kind: str = "words") -> wire.Errands:
    return speaker.ask("errands", wire.ForErrand(kind, version), wire.Errands)


def answers(speaker: Speaker, number: int, body: bytes = b"done", kind: str = "words") -> tuple[int, bytes]:
    return speaker.signed("errand-answers", wire.frame(wire.ErrandAnswer(kind, number), body))


def heard(speaker: Speaker, at: datetime) -> None:
    with scope.platform("test"):
        Node.objects.filter(pk=speaker.number).update(seen_at=at)


def row() -> NodeErrand:
    with scope.platform("test"):
        return NodeErrand.objects.get()


def test_a_customers_node_learns_what_there_is_to_do_and_then_only_what_is_new(asker: Asker, jia: Customer) -> None:
    mine = speaker_of(jia, "one")
    found = asks(mine)
    assert found.errand is not None
    said = found.errand
    assert (said.version, said.size, bytes(said.body), bytes(said.secrets)) == ("7", 1, b'["walk"]', b'{"key":"1"}')
    assert asks(mine, "7") == wire.Errands(0)
    assert mine.refused("errands", wire.ForErrand("songs")).code == "unknown_errand"


def test_the_platforms_own_node_has_nothing_to_do(asker: Asker, db: None) -> None:
    own = speaker_of(None, "own")
    found = asks(own)
    assert found.errand is not None
    assert (found.errand.size, bytes(found.errand.secrets)) == (0, b"{}")
    assert asks(own, found.errand.version).errand is None
    assert answers(own, 1)[0] == 403
    assert asker.taken == []


def test_of_several_nodes_the_first_that_is_heard_has_all_of_it(asker: Asker, jia: Customer, yi: Customer) -> None:
    other, first, second = (
        speaker_of(customer, name) for customer, name in ((yi, "theirs"), (jia, "one"), (jia, "two"))
    )
    assert [asks(one).errand.size for one in (other, first, second)] == [1, 1, 0]  # type: ignore[union-attr]  # each is new
    heard(first, timezone.now() - TELL_AFTER - timedelta(seconds=1))
    assert asks(second).errand.size == 1  # type: ignore[union-attr]
    heard(first, timezone.now())
    found = asks(second, "7").errand
    assert found is not None
    assert (found.size, bytes(found.body)) == (0, b"[]"), "the first has come back"
    with scope.platform("test"):
        assert errands.carrier_of(jia.pk, now=timezone.now()) == Node.objects.get(pk=first.number)


def test_answers_are_taken_once_in_the_order_of_their_numbers(asker: Asker, jia: Customer) -> None:
    mine = speaker_of(jia, "one")
    for number in (5, 5, 9, 7, 9, 12):
        status, body = answers(mine, number, b"%d" % number)
        assert status == 200
        assert wire.decode(int, body) == max(number, 5 if number == 5 else 9)
    assert asker.taken == [(jia.pk, b"5"), (jia.pk, b"9"), (jia.pk, b"12")]
    assert asks(mine).taken == 12
    assert row().taken_at is not None


def test_each_node_has_numbers_of_its_own(asker: Asker, jia: Customer) -> None:
    for name in ("one", "two"):
        assert answers(speaker_of(jia, name), 5)[0] == 200
    assert len(asker.taken) == 2


@pytest.mark.parametrize("problem", [ValueError("what?"), DataError("too long"), KeyError("nobody foresaw it")])
def test_what_cannot_be_read_is_counted_and_nothing_waits_behind_it(
    asker: Asker, jia: Customer, problem: Exception
) -> None:
    mine = speaker_of(jia, "one")
    asker.problem = problem
    assert answers(mine, 1)[0] == 200
    assert (row().taken, row().refused) == (1, 1)
    asker.problem = None
    assert answers(mine, 2)[0] == 200


def test_when_the_database_is_not_well_the_answer_comes_again(asker: Asker, jia: Customer) -> None:
    mine = speaker_of(jia, "one")
    asker.problem = OperationalError("deadlock detected")
    status, body = answers(mine, 1)
    assert (status, wire.decode(wire.No, body).code) == (503, "not_now")
    asker.problem = None
    assert answers(mine, 1)[0] == 200
    assert (len(asker.taken), row().taken) == (2, 1)


def test_what_was_made_of_an_answer_and_its_number_stand_or_fall_together(
    asker: Asker, jia: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = speaker_of(jia, "one")
    assert answers(mine, 1)[0] == 200
    before = row().refused

    def fails(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as broken:
        broken.setattr(NodeErrand, "save", fails)
        broken.setattr(asker, "take", lambda **_said: _spoil())
        with pytest.raises(OperationalError):
            answers(mine, 2)
    assert (row().taken, row().refused) == (1, before)


def _spoil() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE bastion_nodeerrand SET refused = 99")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", wire.frame(wire.ErrandAnswer("words", 0), b""), wire.frame(wire.ErrandAnswer("words", -1), b""),
        wire.frame(wire.ErrandAnswer("words", 2**53), b""), wire.frame(wire.ForErrand("words"), b""),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_malformed(asker: Asker, jia: Customer, body: bytes) -> None:
    status, said = speaker_of(jia, "one").signed("errand-answers", body)
    assert (status, wire.decode(wire.No, said).code) == (400, "malformed")


def test_a_revoked_node_and_whoever_does_not_sign_have_nothing(asker: Asker, jia: Customer, root: User) -> None:
    mine = speaker_of(jia, "one")
    frame = wire.frame(wire.ErrandAnswer("words", 1), b"")
    for what, body in (("errands", wire.encode(wire.ForErrand("words"))), ("errand-answers", frame)):
        assert mine.post(what, body, {})[0] == 401
    with scope.platform("test"):
        enrolling.revoke(node=Node.objects.get(pk=mine.number), actor=root, now=timezone.now())
    assert mine.refused("errands", wire.ForErrand("words")).code == "unknown_node"
    assert answers(mine, 1)[0] == 401
    assert asker.taken == []


# --- with the checks of monitoring ------------------------------------------------------------------------------------


def test_a_node_gets_its_customers_checks_and_speaks_of_no_others(
    jia: Customer, yi: Customer, root: User, client_for: ClientFor
) -> None:
    mine, theirs = speaker_of(jia, "one"), speaker_of(yi, "two")
    made = {}
    for customer in (jia, yi):
        with scope.customer(customer):
            asset = server(customer, f"web of {customer.code}", host="10.0.0.5")
            made[customer] = targets.create(
                asset=asset, kind=Kind.TCP, config={"host": "10.0.0.5", "port": 80}, actor=None,
                now=timezone.now() - timedelta(hours=1), through=Through.NODE,
            )  # fmt: skip
    assert [asks(one, kind="checks").errand.size for one in (mine, theirs)] == [1, 1]  # type: ignore[union-attr]
    now = timezone.now().timestamp()
    sample = ("port.result_code", 'port="80"', round(now * 1000), 0.0)
    body = errand.joined([errand.encode(Result(one.pk, now, 1.0, [sample])) for one in made.values()])
    assert answers(mine, 1, body, "checks")[0] == 200
    with scope.platform("test"):
        assert [bool(Target.objects.get(pk=one.pk).last_ok_at) for one in made.values()] == [True, False]
        Node.objects.filter(pk=mine.number).update(load={"checks": 1, "checks_waiting": 3, "checks_dropped": 2})
    page = client_for(root).get(f"/bastion/nodes/{mine.number}/").content.decode()
    assert "text-warning" in page
    assert answers(mine, 2, b"[nonsense", "checks")[0] == 200
    assert row().refused == 1
