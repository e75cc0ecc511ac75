"""Chats: signed calls, who is bound, what they may say to the robot, and what is never lost."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import time_machine
from django.conf import LazySettings

from accounts import scope
from accounts.models import AuditEntry, Customer, Role, Severity, User
from demo.robots import Robots, running
from incidents import services
from incidents.models import ChatCode, ChatIdentity, InboundMessage, Incident, IncidentKind, IncidentState
from incidents.services import chat_answers, chat_identities, inbound
from notify.channels import dingtalk
from notify.inbound import wecom
from tests.conftest import NOW, ClientFor, make_person
from tests.incidents.conftest import raise_incident
from tests.incidents.inbound.conftest import Door, incidents, messages, only_incident, open_door

pytestmark = pytest.mark.django_db
Verdict = InboundMessage.Verdict
SECRET = "SECtestsecret0001"
NUMBERS = count(1)


@pytest.fixture
def robots(settings: LazySettings) -> Iterator[Robots]:
    with running(clock=NOW.timestamp) as endpoint:
        settings.NOTIFY_ALLOWED_HOSTS = [endpoint.host]
        yield endpoint


@dataclass
class Chat:
    """A DingTalk group whose messages to the robot are called to the door, and read as a worker would."""

    door: Door
    robots: Robots
    conversation: str = "cid1"
    later: timedelta = field(default_factory=timedelta)

    def call(self, body: dict[str, object], *, secret: str = SECRET) -> Any:
        stamp = int((NOW + self.later).timestamp() * 1000)
        headers = {"timestamp": str(stamp), "sign": dingtalk.sign(secret, stamp)}
        return self.door.send(body, **headers)

    def body(self, text: str, sender: str, **more: object) -> dict[str, object]:
        return {
            "msgtype": "text",
            "text": {"content": f" {text}"},
            "msgId": f"msg{next(NUMBERS)}",
            "senderId": f"$:LWCP_v1:${sender}",
            "senderNick": sender,
            "conversationType": "2",
            "conversationId": self.conversation,
            "sessionWebhook": self.robots.session(self.conversation),
            "sessionWebhookExpiredTime": int((NOW + self.later + timedelta(minutes=90)).timestamp() * 1000),
        } | more

    def say(self, text: str, sender: str = "alice", **more: object) -> InboundMessage:
        """Say something and let it be read; returns what became of it."""
        with time_machine.travel(NOW + self.later, tick=False):
            answer = self.call(self.body(text, sender, **more))
            assert answer.status_code == 200, answer.content
            read = inbound.read(message_id=answer.json()["id"], now=NOW + self.later)
            chat_answers.send(message_id=read.pk, now=NOW + self.later)
            return read

    def heard(self) -> str:
        return self.robots.received[-1].text

    def bind(self, person: User, sender: str) -> None:
        with scope.user(person):
            code = chat_identities.make_code(person=person, now=NOW + self.later)
        self.say(f"绑定 {code}", sender)


@pytest.fixture
def chat(jia: Customer, robots: Robots) -> Chat:
    return Chat(open_door("dingtalk", jia), robots)


@pytest.fixture
def bound(chat: Chat, alice: User, chen: User) -> Chat:
    chat.bind(alice, "alice")
    chat.bind(chen, "chen")
    return chat


def test_a_code_made_while_signed_in_binds_a_sender_once(chat: Chat, alice: User) -> None:
    with scope.user(alice):
        code = chat_identities.make_code(person=alice, now=NOW)
    chat.say(f"@RDMP 绑定 {code}", "alice")
    assert "Alice" in chat.heard()
    chat.say(f"绑定 {code}", "mallory")
    assert "Alice" not in chat.heard()
    with scope.platform("test"):
        assert [(each.user_id, each.name) for each in ChatIdentity.objects.all()] == [(alice.pk, "alice")]
        assert AuditEntry.objects.filter(action="chat.bind", actor=alice).count() == 1
        assert ChatCode.objects.get().code_hash != code
    assert code not in messages()[0].text


def test_a_code_is_good_for_ten_minutes_and_a_new_one_ends_the_old_one(chat: Chat, alice: User) -> None:
    with scope.user(alice):
        first = chat_identities.make_code(person=alice, now=NOW)
        second = chat_identities.make_code(person=alice, now=NOW)
    chat.say(f"绑定 {first}", "alice")
    chat.later = timedelta(minutes=11)
    chat.say(f"绑定 {second}", "alice")
    with scope.platform("test"):
        assert ChatIdentity.objects.count() == 0


def test_whoever_tries_codes_is_soon_refused_even_the_right_one(chat: Chat, alice: User) -> None:
    with scope.user(alice):
        code = chat_identities.make_code(person=alice, now=NOW)
    for wrong in range(chat_identities.WRONG_CODES):
        chat.say(f"绑定 {wrong:08d}", "mallory")
    chat.say(f"绑定 {code}", "mallory")
    with scope.platform("test"):
        assert ChatIdentity.objects.count() == 0


def test_nobody_of_another_customer_binds_at_a_customers_robot(chat: Chat, eve: User) -> None:
    chat.bind(eve, "eve")
    with scope.platform("test"):
        assert ChatIdentity.objects.count() == 0


def test_what_a_bound_person_writes_is_an_incident_of_their_customer(bound: Chat, alice: User, jia: Customer) -> None:
    read = bound.say("[严重] 订单无法支付\n从十点开始")
    incident = only_incident()
    assert (incident.customer, incident.raised_by_id, incident.source) == (jia, alice.pk, "dingtalk")
    assert (incident.title, incident.severity) == ("订单无法支付", Severity.HIGH)
    assert incident.description == "订单无法支付\n从十点开始"
    assert (read.verdict, read.person) == (Verdict.OPENED, alice)
    assert incident.number in bound.heard()
    assert "03-02 10:15" in bound.heard()


def test_what_follows_within_half_an_hour_goes_to_the_same_incident(bound: Chat) -> None:
    bound.say("订单无法支付")
    bound.later = timedelta(minutes=20)
    assert bound.say("所有支付方式都不行").verdict == Verdict.JOINED
    bound.later = timedelta(minutes=25)
    bound.say("新事件 登录也慢")
    bound.later = timedelta(minutes=60)
    bound.say("短信收不到")
    assert [each.title for each in incidents()] == ["订单无法支付", "登录也慢", "短信收不到"]


def test_a_solved_incident_is_not_gone_on_with_unless_it_is_named(bound: Chat, chen: User, jia: Customer) -> None:
    bound.say("订单无法支付")
    incident = only_incident()
    with scope.customer(jia):
        services.resolve(incident=incident, resolution="restarted", cause="system", actor=chen, now=NOW)
    bound.say("谢谢，另外登录很慢")
    assert len(incidents()) == 2
    assert bound.say(f"{incident.number} 又坏了").incident == incident


def test_the_list_shows_ones_own_open_incidents_and_no_internal_one(
    bound: Chat, alice: User, eve: User, jia: Customer, yi: Customer
) -> None:
    mine, theirs = raise_incident(alice, customer=jia), raise_incident(eve, customer=yi, title="Yi's own trouble")
    inside = raise_incident(alice, customer=jia, title="Inside")
    with scope.platform("test"):
        Incident.objects.filter(pk=inside.pk).update(kind=IncidentKind.INTERNAL)
    for sender in ("alice", "chen"):
        bound.say("列表", sender)
        assert mine.number in bound.heard()
        assert theirs.number not in bound.heard()
        assert inside.number not in bound.heard()


def test_an_engineer_acknowledges_and_a_customer_may_not(bound: Chat, alice: User, chen: User, jia: Customer) -> None:
    incident = raise_incident(alice, customer=jia)
    bound.say(f"ack {incident.pk}", "alice")
    assert only_incident().state == IncidentState.OPEN
    bound.say(f"确认 {incident.number}", "chen")
    assert (only_incident().state, only_incident().acknowledged_by_id) == (IncidentState.ACKNOWLEDGED, chen.pk)
    assert incident.number in bound.heard()
    with scope.customer(jia):
        assert AuditEntry.objects.get(action="incident.acknowledge").detail == {"via": "dingtalk"}
    bound.say(f"ack {incident.pk}", "chen")
    assert "10:00" in bound.heard(), "who was first, and when"


@pytest.mark.parametrize("text", ["ack {number}", "评论 {number} hallo", "{number} hallo"])
def test_no_command_reaches_another_customers_incident(
    text: str, bound: Chat, eve: User, yi: Customer, alice: User
) -> None:
    theirs = raise_incident(eve, customer=yi)
    for sender in ("alice", "chen"):
        bound.say(text.format(number=theirs.number), sender)
    with scope.customer(yi):
        fresh = Incident.objects.get(pk=theirs.pk)
        assert (fresh.state, fresh.timeline.count()) == (IncidentState.OPEN, 1)
    assert len(incidents()) == 1


def test_a_read_only_person_lists_and_no_more(chat: Chat, vera: User, alice: User, jia: Customer) -> None:
    chat.bind(vera, "vera")
    incident = raise_incident(alice, customer=jia)
    chat.say("list", "vera")
    assert incident.number in chat.heard()
    for text in (f"comment {incident.pk} x", "new everything is broken", "everything is broken"):
        assert chat.say(text, "vera").verdict == Verdict.ANSWERED
    assert len(incidents()) == 1


def test_who_is_not_bound_is_told_how_and_an_emergency_is_kept(chat: Chat, jia: Customer) -> None:
    read = chat.say("[灾难] 全站打不开", "stranger")
    incident = only_incident()
    assert (incident.customer, incident.raised_by_id, incident.severity) == (jia, None, Severity.DISASTER)
    assert (read.verdict, read.reason) == (Verdict.OPENED, "unknown_sender")
    assert incident.number in chat.heard()
    assert "绑定" in chat.heard()
    with scope.customer(jia):
        assert incident.timeline.get().data["verified"] is False
    assert chat.say("真的很急", "stranger").incident == incident
    assert chat.say("别的事", "other stranger").incident != incident


def test_who_is_not_bound_commands_nothing(chat: Chat, alice: User, jia: Customer) -> None:
    incident = raise_incident(alice, customer=jia)
    for text in ("列表", f"确认 {incident.pk}", "帮助"):
        chat.say(text, "stranger")
        assert incident.number not in chat.heard()
    assert only_incident().state == IncidentState.OPEN


def test_at_the_providers_robot_a_stranger_waits_for_a_person(robots: Robots, jia: Customer) -> None:
    chat = Chat(open_door("dingtalk", None), robots)
    read = chat.say("服务器挂了", "stranger")
    assert (read.verdict, read.due_at, incidents()) == (Verdict.HELD, NOW + timedelta(minutes=15), [])
    assert "绑定" in chat.heard()


def test_at_the_providers_robot_an_engineer_lists_only_where_nobody_else_reads(
    robots: Robots, alice: User, chen: User, jia: Customer
) -> None:
    chat = Chat(open_door("dingtalk", None), robots)
    chat.bind(chen, "chen")
    incident = raise_incident(alice, customer=jia)
    chat.say("list", "chen")
    assert incident.number not in chat.heard()
    chat.say("list", "chen", conversationType="1")
    assert incident.number in chat.heard()


def test_an_engineer_who_serves_the_customer_no_more_is_unknown(chat: Chat, jia: Customer, alice: User) -> None:
    dora = make_person("dora", Role.ENGINEER)
    chat.bind(dora, "dora")
    incident = raise_incident(alice, customer=jia)
    chat.say(f"ack {incident.pk}", "dora")
    assert only_incident().state == IncidentState.OPEN


def test_a_repeated_call_is_one_message(bound: Chat) -> None:
    body = bound.body("订单无法支付", "alice")
    first, second = bound.call(body), bound.call(body)
    assert first.json() == second.json()
    inbound.read(message_id=first.json()["id"], now=NOW)
    assert len(incidents()) == 1


@pytest.mark.parametrize("wrong", ["secret", "old", "missing"])
def test_a_forged_or_stale_call_is_401_and_leaves_nothing(wrong: str, chat: Chat) -> None:
    body = chat.body("x", "alice")
    if wrong == "missing":
        answer = chat.door.send(body)
    else:
        chat.later = timedelta(minutes=-61) if wrong == "old" else timedelta()
        answer = chat.call(body, secret="SECother" if wrong == "secret" else SECRET)
    assert answer.status_code == 401
    assert messages() == []


def test_an_answer_goes_nowhere_but_to_dingtalk(bound: Chat, settings: LazySettings) -> None:
    before = len(bound.robots.received)
    settings.NOTIFY_ALLOWED_HOSTS = []
    bound.say("list", sessionWebhook="https://attacker.example/steal")
    assert len(bound.robots.received) == before
    assert messages()[-1].replied_at is None


def test_an_answer_is_sent_once_and_only_while_the_conversation_lets_us(bound: Chat) -> None:
    before = len(bound.robots.received)
    read = bound.say("list")
    assert not chat_answers.send(message_id=read.pk, now=NOW)
    with time_machine.travel(NOW, tick=False):
        late = bound.call(bound.body("list", "alice"))
    inbound.read(message_id=late.json()["id"], now=NOW)
    assert chat_answers.waiting(now=NOW + timedelta(minutes=1)) == [late.json()["id"]]
    assert not chat_answers.send(message_id=late.json()["id"], now=NOW + timedelta(minutes=91))
    assert len(bound.robots.received) == before + 1


# --- WeCom -----------------------------------------------------------------------------------------------------------

TOKEN, CORP = "QDG6eK", "wx5823bf96d3bd56c7"
KEY = wecom.key_of("jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C")
ECHO = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="


@pytest.fixture
def work(jia: Customer) -> Door:
    return open_door("wecom", jia, corp_id=CORP)


def wecom_says(door: Door, text: str, *, sender: str = "zhang", one: str = "1", key: bytes = KEY) -> Any:
    inner = (
        f"<xml><ToUserName>{CORP}</ToUserName><FromUserName>{sender}</FromUserName><CreateTime>1</CreateTime>"
        f"<MsgType>text</MsgType><Content><![CDATA[{text}]]></Content><MsgId>{one}</MsgId></xml>"
    )
    sealed = wecom.encrypt(key, inner.encode(), CORP)
    signed = wecom.signature(TOKEN, "1", "n", sealed)
    body = f"<xml><ToUserName>{CORP}</ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>".encode()
    path = f"{door.path}?msg_signature={signed}&timestamp=1&nonce=n"
    return door.client.post(path, body, content_type="text/xml")


def opened(answer: Any) -> str:
    fields = wecom.xml_fields(answer.content)
    assert wecom.is_signed(TOKEN, fields["MsgSignature"], fields["TimeStamp"], fields["Nonce"], fields["Encrypt"])
    return wecom.xml_fields(wecom.decrypt(KEY, fields["Encrypt"], CORP))["Content"]


def test_wecom_checks_the_address_by_its_published_vector(work: Door) -> None:
    asked = {
        "msg_signature": "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
        "timestamp": "1409659589",
        "nonce": "263014780",
        "echostr": ECHO,
    }
    answer = work.client.get(work.path, asked)
    assert (answer.status_code, answer.content) == (200, b"1616140317555161061")
    assert work.client.get(work.path, asked | {"nonce": "1"}).status_code == 401
    assert work.client.get(work.path).status_code == 401


def test_a_message_by_wecom_is_answered_encrypted_and_a_repeat_the_same(work: Door, alice: User) -> None:
    with scope.user(alice):
        code = chat_identities.make_code(person=alice, now=NOW)
    assert "Alice" in opened(wecom_says(work, f"绑定 {code}"))
    first = opened(wecom_says(work, "订单无法支付", one="2"))
    incident = only_incident()
    assert (incident.source, incident.raised_by_id) == ("wecom", alice.pk)
    assert incident.number in first
    assert opened(wecom_says(work, "订单无法支付", one="2")) == first
    assert len(incidents()) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<xml><Encrypt>AAAA</Encrypt></xml>",
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><Encrypt>&a;</Encrypt></xml>',
    ],
)
def test_what_wecom_did_not_send_is_refused_and_not_stored(body: bytes, work: Door) -> None:
    answer = work.client.post(f"{work.path}?msg_signature=x&timestamp=1&nonce=n", body, content_type="text/xml")
    assert answer.status_code in (400, 401)
    assert wecom_says(work, "x", key=b"k" * 32).status_code == 400
    assert messages() == []


# --- the page of one's own chat accounts -----------------------------------------------------------------------------


def test_one_makes_a_code_on_ones_page_and_unbinds_there(
    bound: Chat, alice: User, bob: User, client_for: ClientFor
) -> None:
    browser = client_for(alice)
    page = browser.post("/ways-in/chat/").content.decode()
    code = _code_in(page)
    assert code not in browser.get("/ways-in/chat/").content.decode()
    with scope.platform("test"):
        mine = ChatIdentity.objects.get(user=alice)
    assert client_for(bob).post(f"/ways-in/chat/{mine.pk}/unbind/").status_code == 404
    assert browser.post(f"/ways-in/chat/{mine.pk}/unbind/").status_code == 302
    with scope.platform("test"):
        assert not ChatIdentity.objects.filter(user=alice).exists()


def _code_in(page: str) -> str:
    return page.split("data-copy-source>")[1].split("<", maxsplit=1)[0].rsplit(maxsplit=1)[-1]


@pytest.mark.parametrize("body", [b"", b"[]", json.dumps({"msgId": "1"}).encode()])
def test_a_signed_call_that_says_nothing_is_400(body: bytes, chat: Chat) -> None:
    stamp = int(NOW.timestamp() * 1000)
    headers = {"timestamp": str(stamp), "sign": dingtalk.sign(SECRET, stamp)}
    assert chat.door.send(body, **headers).status_code == 400
    assert messages() == []
