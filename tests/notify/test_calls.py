"""Calls: within the limits of each number, one for all that is wrong, tried again, and settled by their receipts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.test import Client

from accounts import scope
from accounts.models import Customer, Role, Severity, User
from demo.aliyun.cloud import FaultKind
from demo.aliyun.exchange import BUSY, NO_ANSWER, PRESSES_ONE, Exchange
from demo.aliyun.server import CloudServer
from notify import outlets
from notify.channels import voice
from notify.models import Attempt, Delivery
from notify.services import delivering, receipts, tell, withdraw
from notify.services.outbox import PERSONAL_LANES, Message
from tests.conftest import make_person
from tests.notify.conftest import Clock
from tests.notify.telephone import WITH_KEYS, exchange_of, exchange_running, fate, set_up, tries, work

pytestmark = pytest.mark.django_db
NUMBER = "13800000000"  # of everybody in the cast


@pytest.fixture
def server(clock: Clock, settings: LazySettings) -> Iterator[CloudServer]:
    with exchange_running(clock, settings) as running:
        yield running


@pytest.fixture
def exchange(server: CloudServer) -> Exchange:
    return exchange_of(server)


def ring(person: User, customer: Customer, clock: Clock, key: str = "incident:7:step:1", **changes: object) -> Delivery:
    message = Message(
        **{
            "topic": "incident",
            "subject": "Orders cannot be paid",
            "severity": Severity.DISASTER,
            "about": "incident:7",
            "asks": "acknowledge",
            **changes,
        }  # type: ignore[arg-type]
    )
    with scope.customer(customer):
        [made] = tell(user=person, key=key, message=message, now=clock(), channels=("voice",), customer=customer)
    return made


def hear(exchange: Exchange, clock: Clock) -> list[receipts.Answer]:
    """The exchange pushes its receipts."""
    body = json.dumps(exchange.reports("voice")).encode()
    return receipts.take(medium="voice", reports=voice.read_reports(body), now=clock())


def test_a_call_reads_the_approved_template_and_is_delivered_once_somebody_listened(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    ring(chen, jia, clock)
    assert work("voice", clock) == 1
    assert fate(chen, "voice") == [("accepted", "OK")]
    [placed] = exchange.placed
    assert (placed.kind, placed.number, placed.template) == ("call", NUMBER, "TTS_100001")
    assert placed.words == {"customer": "甲方制造", "severity": "灾难", "title": "Orders cannot be paid", "count": "1"}
    [answer] = hear(exchange, clock)
    assert answer.was_reached
    assert fate(chen, "voice") == [("delivered", "200000")]
    with scope.platform("test"):
        attempt = Attempt.objects.get(delivery__user=chen)
    assert attempt.provider_id == placed.id
    assert attempt.receipt_at == clock()


def test_whoever_does_not_answer_is_called_once_more_and_then_given_up(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    exchange.behave(NUMBER, NO_ANSWER)
    ring(chen, jia, clock)
    work("voice", clock)
    assert [answer.is_last for answer in hear(exchange, clock)] == [False]
    assert fate(chen, "voice") == [("pending", "200003")]
    clock.advance(seconds=60)
    assert work("voice", clock) == 0
    clock.advance(seconds=31)
    assert work("voice", clock) == 1
    assert [answer.is_last for answer in hear(exchange, clock)] == [True]
    assert fate(chen, "voice") == [("failed", "200003")]


def test_a_number_is_called_once_a_minute_and_what_waited_goes_as_one_call(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    for number in (1, 2, 3):
        ring(chen, jia, clock, key=f"incident:{number}:step:1", about=f"incident:{number}")
        work("voice", clock)
    assert len(exchange.placed) == 1
    clock.advance(seconds=61)
    work("voice", clock)
    assert [placed.words["count"] for placed in exchange.placed] == ["1", "2"]
    assert exchange.refused == []
    hear(exchange, clock)
    assert sorted(fate(chen, "voice")) == [("delivered", "200000")] * 2 + [("digested", "")] * 2


def test_calls_about_two_customers_are_two_calls(
    jia: Customer, yi: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    ring(chen, jia, clock)
    ring(chen, yi, clock, key="incident:8:step:1")
    work("voice", clock)
    clock.advance(seconds=61)
    work("voice", clock)
    assert [placed.words["customer"] for placed in exchange.placed] == ["甲方制造", "乙酉物流"]


def test_failed_calls_count_and_five_an_hour_are_the_most(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    exchange.behave(NUMBER, BUSY)
    for number in range(3):  # each is tried twice
        ring(chen, jia, clock, key=f"incident:{number}:x")
        for _ in range(2):
            work("voice", clock)
            hear(exchange, clock)
            clock.advance(seconds=91)
    assert len(exchange.placed) == 5
    assert exchange.refused == []
    assert fate(chen, "voice")[-1] == ("failed", "number's limit")


def test_two_people_with_one_number_share_its_limits(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    ring(chen, jia, clock)
    ring(make_person("zhou", Role.ENGINEER), jia, clock)
    assert work("voice", clock) == 1
    clock.advance(seconds=61)
    assert work("voice", clock) == 1


def test_with_a_number_of_its_own_the_platform_takes_a_key(
    jia: Customer, chen: User, alice: User, server: CloudServer, exchange: Exchange, clock: Clock
) -> None:
    set_up(server, **WITH_KEYS)
    exchange.behave(NUMBER, PRESSES_ONE)
    ring(chen, jia, clock)
    work("voice", clock)
    clock.advance(seconds=61)
    ring(alice, jia, clock, key="incident:7:call", asks="")
    work("voice", clock)
    assert [placed.kind for placed in exchange.placed] == ["ivr", "call"]
    assert [answer.key_pressed for answer in hear(exchange, clock)] == ["1", ""]


def test_a_key_holds_for_everything_that_the_call_said(
    jia: Customer, chen: User, server: CloudServer, exchange: Exchange, clock: Clock
) -> None:
    set_up(server, **WITH_KEYS)
    exchange.behave(NUMBER, PRESSES_ONE)
    for number in (1, 2):
        ring(chen, jia, clock, key=f"incident:{number}:x", about=f"incident:{number}")
    work("voice", clock)
    [answer] = hear(exchange, clock)
    assert sorted(message.about for message in answer.about) == ["incident:1", "incident:2"]


def test_a_call_for_several_things_is_not_made_again_once_none_of_them_matters(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    exchange.behave(NUMBER, NO_ANSWER)
    keys = ["incident:1:x", "incident:2:x"]
    for key in keys:
        ring(chen, jia, clock, key=key)
    work("voice", clock)
    hear(exchange, clock)
    with scope.customer(jia):
        withdraw(customer=jia, keys=keys[:1], now=clock())
    clock.advance(seconds=91)
    assert work("voice", clock) == 1
    assert [placed.words["count"] for placed in exchange.placed] == ["2", "1"]
    with scope.customer(jia):
        withdraw(customer=jia, keys=keys[1:], now=clock())
    hear(exchange, clock)
    clock.advance(minutes=5)
    assert work("voice", clock) == 0


def test_who_has_been_relieved_is_not_called_a_second_time(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    exchange.behave(NUMBER, NO_ANSWER)
    ring(chen, jia, clock)
    work("voice", clock)
    with scope.customer(jia):
        withdraw(customer=jia, keys=["incident:7:step:1"], now=clock())
    hear(exchange, clock)
    assert fate(chen, "voice") == [("withdrawn", "200003")]


def test_a_receipt_that_comes_twice_counts_once_and_a_forged_one_never(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    ring(chen, jia, clock)
    work("voice", clock)
    [report] = exchange.reports("voice")
    forged = [report | {"callee": "13900000000"}, report | {"call_id": "another"}, report | {"out_id": "999999"}]
    for wrong in forged:
        assert receipts.take(medium="voice", reports=[voice._report(wrong)], now=clock()) == []
    assert fate(chen, "voice") == [("accepted", "OK")]
    assert len(receipts.take(medium="voice", reports=[voice._report(report)], now=clock())) == 1
    assert receipts.take(medium="voice", reports=[voice._report(report)], now=clock()) == []


def test_a_receipt_that_never_comes_is_asked_for(jia: Customer, chen: User, exchange: Exchange, clock: Clock) -> None:
    ring(chen, jia, clock)
    work("voice", clock)
    clock.advance(seconds=59)
    assert receipts.ask(now=clock()) == []
    clock.advance(seconds=2)
    [answer] = receipts.ask(now=clock())
    assert answer.was_reached
    assert fate(chen, "voice") == [("delivered", "200000")]


def test_without_any_receipt_the_call_stays_uncertain_and_says_so(
    jia: Customer, chen: User, server: CloudServer, exchange: Exchange, clock: Clock
) -> None:
    ring(chen, jia, clock)
    work("voice", clock)
    server.cloud.fail(FaultKind.UNAVAILABLE, 100, action="QueryCallDetailByCallId")
    for _ in range(12):
        clock.advance(minutes=1)
        answers = receipts.ask(now=clock())
        if answers:
            break
    assert [(answer.was_reached, answer.is_last) for answer in answers] == [(False, True)]
    assert fate(chen, "voice") == [("uncertain", "no receipt")]


def test_a_call_that_was_taken_but_not_answered_for_is_settled_by_its_receipt(
    jia: Customer, chen: User, server: CloudServer, exchange: Exchange, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notify.providers.TOTAL_S", 0.4)
    server.cloud.fail(FaultKind.TIMEOUT, action="SingleCallByTts", seconds=1)
    ring(chen, jia, clock)
    work("voice", clock)
    assert fate(chen, "voice") == [("pending", "no answer")]
    hear(exchange, clock)
    assert fate(chen, "voice") == [("delivered", "200000")]
    clock.advance(minutes=5)
    assert work("voice", clock) == 0
    assert len(exchange.placed) == 1


@pytest.mark.parametrize(
    ("kind", "codes"),
    [(FaultKind.THROTTLE, ["Throttling.User", "OK"]), (FaultKind.UNAVAILABLE, ["ServiceUnavailable", "OK"])],
)
def test_a_busy_service_is_asked_again(
    jia: Customer, chen: User, server: CloudServer, clock: Clock, kind: FaultKind, codes: list[str]
) -> None:
    server.cloud.fail(kind, action="SingleCallByTts")
    ring(chen, jia, clock)
    work("voice", clock)
    clock.advance(seconds=91)
    work("voice", clock)
    assert [code for _verdict, code, _reached in tries(chen, "voice")] == codes


def test_a_template_that_is_not_approved_is_not_tried_again_and_the_words_are_kept(
    jia: Customer, chen: User, server: CloudServer, clock: Clock
) -> None:
    set_up(server, tts_code="TTS_1")
    ring(chen, jia, clock)
    work("voice", clock)
    assert fate(chen, "voice") == [("failed", "isv.TTS_TEMPLATE_ILLEGAL")]


def test_a_wrong_secret_never_shows_what_was_signed(
    jia: Customer, chen: User, server: CloudServer, clock: Clock
) -> None:
    server.cloud.accounts["1623400000000009"][0].users[0].keys[0].secret = "another one"
    ring(chen, jia, clock)
    work("voice", clock)
    with scope.platform("test"):
        attempt = Attempt.objects.get()
    assert attempt.code == "SignatureDoesNotMatch"
    assert "LTAI" not in attempt.detail


def test_who_cannot_be_called_is_skipped_and_it_is_written_down(
    jia: Customer, chen: User, server: CloudServer, clock: Clock
) -> None:
    chen.phone = "ask the desk"
    ring(chen, jia, clock)
    set_up(server, voice_is_on=False)
    chen.phone = NUMBER
    ring(chen, jia, clock, key="incident:8:x")
    assert fate(chen, "voice") == [("skipped", "no number"), ("skipped", "not set up")]
    assert work("voice", clock) == 0


def test_a_worker_that_dies_while_it_calls_leaves_an_uncertain_try_that_is_made_again_for_a_disaster(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    ring(chen, jia, clock)
    assert delivering.claim_next(lane=PERSONAL_LANES["voice"], now=clock()) is not None
    clock.advance(minutes=3)
    assert delivering.recover(now=clock()) == 1
    clock.advance(seconds=91)
    assert work("voice", clock) == 1
    assert len(exchange.placed) == 1


def test_the_address_of_receipts_cannot_be_guessed_and_takes_a_list_alone(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    ring(chen, jia, clock)
    work("voice", clock)
    body = json.dumps(exchange.reports("voice"))
    outside = Client()
    right = f"/receipts/voice/{outlets.receipts_token(outlets.current())}/"
    assert outside.post("/receipts/voice/guess/", body, content_type="application/json").status_code == 404
    assert outside.get(right).status_code == 405
    for nonsense in ("", "{}", "[1]", '{"a":', "[" * 100_000):
        assert outside.post(right, nonsense, content_type="application/json").status_code == 400
    assert fate(chen, "voice") == [("accepted", "OK")]
    answer = outside.post(right, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (200, 0)
    assert fate(chen, "voice") == [("delivered", "200000")]


def test_calls_of_other_channels_stand_in_no_ones_way(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    """Mail in trouble holds up no call: each way has its own lane."""
    message = Message(topic="incident", subject="by mail")
    with scope.customer(jia):
        tell(user=chen, key="m", message=message, now=clock(), channels=("email",), customer=jia)
    ring(chen, jia, clock)
    assert delivering.lanes_due(now=clock() + timedelta(seconds=1)) == [-3, 0]
    assert work("voice", clock) == 1
