"""SMS: a template, never twice for a lost answer, and settled by the receipt."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from accounts import scope
from accounts.models import Customer, Severity, User
from demo.aliyun.cloud import FaultKind
from demo.aliyun.exchange import SWITCHED_OFF, Exchange
from demo.aliyun.server import CloudServer
from notify.channels import sms
from notify.models import Delivery
from notify.services import Message, receipts, tell
from tests.notify.conftest import Clock
from tests.notify.telephone import exchange_of, exchange_running, fate, set_up, tries, work

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(clock: Clock, settings: LazySettings) -> Iterator[CloudServer]:
    with exchange_running(clock, settings) as running:
        yield running


@pytest.fixture
def exchange(server: CloudServer) -> Exchange:
    return exchange_of(server)


def text(person: User, customer: Customer, clock: Clock, key: str = "incident:7:x", **changes: str) -> Delivery:
    said = {"subject": "Orders【1】 cannot be paid", "url": "/incidents/7/", **changes}
    message = Message(topic="incident", severity=Severity.HIGH, **said)
    with scope.customer(customer):
        [made] = tell(user=person, key=key, message=message, now=clock(), channels=("sms",), customer=customer)
    return made


def test_the_template_gets_short_words_and_where_to_read_on(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    text(chen, jia, clock, subject="Orders【1】 cannot be paid since a quarter past ten this morning")
    work("sms", clock)
    [placed] = exchange.placed
    assert placed.words["code"] == "incidents/7/"
    assert placed.words["title"] == "Orders(1) cannot be paid since a q…"
    assert fate(chen, "sms") == [("accepted", "OK")]


def test_what_asks_for_an_answer_carries_its_short_link(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    text(chen, jia, clock, about="incident:7", asks="acknowledge")
    work("sms", clock)
    assert exchange.placed[0].words["code"].startswith("a/")
    assert len(exchange.placed[0].words["code"]) <= 35


@pytest.mark.parametrize(("reached", "state"), [(True, "delivered"), (False, "failed")])
def test_the_receipt_settles_it(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock, reached: bool, state: str
) -> None:
    if not reached:
        exchange.behave(chen.phone, SWITCHED_OFF)
    text(chen, jia, clock)
    work("sms", clock)
    receipts.take(medium="sms", reports=sms.read_reports(json.dumps(exchange.reports("sms")).encode()), now=clock())
    assert fate(chen, "sms") == [(state, "DELIVERED" if reached else "MK:0001")]


def test_a_receipt_that_does_not_come_is_looked_up_in_the_list(
    jia: Customer, chen: User, exchange: Exchange, clock: Clock
) -> None:
    text(chen, jia, clock)
    work("sms", clock)
    clock.advance(minutes=3)
    assert [answer.was_reached for answer in receipts.ask(now=clock())] == [True]
    assert fate(chen, "sms") == [("delivered", "DELIVERED")]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls to providers give up after 0.4 s."""
    monkeypatch.setattr("notify.providers.TOTAL_S", 0.4)


@pytest.mark.usefixtures("impatient")
def test_after_a_lost_answer_the_list_is_asked_and_nothing_goes_twice(
    jia: Customer, chen: User, server: CloudServer, exchange: Exchange, clock: Clock
) -> None:
    server.cloud.fail(FaultKind.TIMEOUT, action="SendSms", seconds=1)
    text(chen, jia, clock)
    work("sms", clock)
    assert tries(chen, "sms") == [("uncertain", "no answer", None)]
    clock.advance(seconds=31)
    work("sms", clock)
    assert len(exchange.placed) == 1
    assert [code for _verdict, code, _reached in tries(chen, "sms")] == ["no answer", "sent before"]
    clock.advance(minutes=3)
    receipts.ask(now=clock())
    assert fate(chen, "sms") == [("delivered", "DELIVERED")]


def test_what_never_arrived_is_sent_again(
    jia: Customer, chen: User, server: CloudServer, exchange: Exchange, clock: Clock
) -> None:
    server.cloud.fail(FaultKind.ERROR, action="SendSms")
    text(chen, jia, clock)
    work("sms", clock)
    assert tries(chen, "sms") == [("uncertain", "InternalError", None)]
    clock.advance(seconds=31)
    work("sms", clock)
    assert len(exchange.placed) == 1
    assert fate(chen, "sms") == [("accepted", "OK")]


def test_while_the_list_cannot_be_asked_nothing_is_repeated(
    jia: Customer, chen: User, server: CloudServer, exchange: Exchange, clock: Clock
) -> None:
    server.cloud.fail(FaultKind.ERROR, action="SendSms")
    server.cloud.fail(FaultKind.UNAVAILABLE, action="QuerySendDetails")
    text(chen, jia, clock)
    work("sms", clock)
    clock.advance(seconds=31)
    work("sms", clock)
    assert exchange.placed == []
    assert tries(chen, "sms")[-1][:2] == ("failed", "not sent")
    clock.advance(seconds=46)
    work("sms", clock)
    assert len(exchange.placed) == 1


def test_a_number_gets_fifty_a_day(jia: Customer, chen: User, exchange: Exchange, clock: Clock) -> None:
    for number in range(52):
        text(chen, jia, clock, key=f"incident:{number}:x")
    work("sms", clock)
    assert len(exchange.placed) == 50
    assert exchange.refused == []
    assert [code for _state, code in fate(chen, "sms")][-2:] == ["number's limit"] * 2


def test_a_landline_takes_no_sms(jia: Customer, chen: User, server: CloudServer, clock: Clock) -> None:
    chen.phone = "0571-56337786"
    text(chen, jia, clock)
    assert fate(chen, "sms") == [("skipped", "no number")]


def test_a_wrong_signature_is_refused_with_the_providers_words(
    jia: Customer, chen: User, server: CloudServer, clock: Clock
) -> None:
    set_up(server, sms_sign="没有批准")
    text(chen, jia, clock)
    work("sms", clock)
    assert fate(chen, "sms") == [("failed", "isv.SMS_SIGNATURE_ILLEGAL")]
