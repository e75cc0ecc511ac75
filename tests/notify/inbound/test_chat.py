"""DingTalk and WeCom: published and known vectors, forgeries, XML that bites, and what people type."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from notify.channels.http import Limits
from notify.channels.outcome import Verdict
from notify.inbound import commands, dingtalk, wecom
from notify.inbound.commands import Command, Word
from notify.inbound.reading import BadInputError

TOKEN, NONCE, STAMP = "QDG6eK", "263014780", "1409659589"
KEY = wecom.key_of("jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C")
ECHO = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="
CORP = "wx5823bf96d3bd56c7"
NOW = datetime.fromtimestamp(1577262236.757, UTC)
SIGN = "sjKYAYN9wsDbpGiNVjUPcv6CYsk0SnPsDkxEcmBPNOs="


def test_wecoms_published_vector_is_verified_and_opened() -> None:
    assert wecom.is_signed(TOKEN, "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3", STAMP, NONCE, ECHO)
    assert wecom.decrypt(KEY, ECHO, CORP) == b"1616140317555161061"


@pytest.mark.parametrize("what", ["", "x", "!!", ECHO[:-4], "A" * 64, ECHO.replace("P9n", "Q9n")])
def test_what_wecom_did_not_make_is_not_opened(what: str) -> None:
    with pytest.raises(wecom.ForgedError):
        wecom.decrypt(KEY, what, CORP)


def test_a_message_for_another_receiver_is_refused() -> None:
    with pytest.raises(wecom.ForgedError, match="receiver"):
        wecom.decrypt(KEY, ECHO, "wx0000000000000000")
    assert not wecom.is_signed("", wecom.signature("", STAMP, NONCE, ECHO), STAMP, NONCE, ECHO)
    assert not wecom.is_signed(TOKEN, "é" * 40, STAMP, NONCE, ECHO)


def test_our_answer_can_be_opened_by_who_has_the_key() -> None:
    answered = wecom.xml_fields(wecom.answer(KEY, TOKEN, CORP, "zhang", "<好> & gut", nonce=NONCE, now=NOW))
    sealed = answered["Encrypt"]
    assert wecom.is_signed(TOKEN, answered["MsgSignature"], answered["TimeStamp"], answered["Nonce"], sealed)
    inner = wecom.xml_fields(wecom.decrypt(KEY, sealed, CORP))
    assert (inner["ToUserName"], inner["Content"], inner["MsgType"]) == ("zhang", "<好> & gut", "text")


@pytest.mark.parametrize(
    "xml",
    [
        b'<!DOCTYPE x [<!ENTITY a "b">]><xml><Content>&a;</Content></xml>',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><Content>&a;</Content></xml>',
        b'<!DOCTYPE l [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><xml><Content>&b;</Content></xml>',
        b"<xml>" * 50,
        b"<xml><a>" + b"x" * 70_000 + b"</a></xml>",
        b"<xml>" + b"".join(b"<a%d>x</a%d>" % (n, n) for n in range(200)) + b"</xml>",
        b"",
        b"{}",
    ],
)
def test_xml_that_bites_is_refused(xml: bytes) -> None:
    with pytest.raises(BadInputError):
        wecom.xml_fields(xml)


def test_a_wecom_message_is_read() -> None:
    plain = (
        b"<xml><ToUserName><![CDATA[wx]]></ToUserName><FromUserName><![CDATA[zhang]]></FromUserName>"
        b"<CreateTime>1348831860</CreateTime><MsgType><![CDATA[text]]></MsgType>"
        b"<Content><![CDATA[\xe8\xae\xa2\xe5\x8d\x95]]></Content><MsgId>1234567890123456</MsgId><AgentID>1</AgentID></xml>"
    )
    read = wecom.read(plain, now=NOW)
    assert (read.sender_id, read.text, read.message_id) == ("zhang", "订单", "1234567890123456")
    event = wecom.read(plain.replace(b"[text]", b"[event]").replace(b"<MsgId>1234567890123456</MsgId>", b""), now=NOW)
    assert (event.text, event.message_id) == ("", "zhang:1348831860:event")


def test_dingtalks_known_vector_is_a_valid_signature_for_an_hour() -> None:
    def signed(secret: str, stamp: str, sign: str, **later: int) -> bool:
        return dingtalk.is_signed(secret, stamp, sign, now=NOW + timedelta(**later))

    stamp = "1577262236757"
    assert signed("SECtestsecret0001", stamp, SIGN, minutes=59)
    assert not signed("SECtestsecret0001", stamp, SIGN, minutes=61)
    assert not signed("SECtestsecret0001", stamp, SIGN, minutes=-61)
    assert not signed("SECtestsecret0002", stamp, SIGN)
    assert not signed("SECtestsecret0001", "1577262236758", SIGN)
    assert not signed("SECtestsecret0001", "", SIGN)
    assert not signed("SECtestsecret0001", "²²", SIGN)
    assert not signed("SECtestsecret0001", "9" * 400, SIGN)
    assert not signed("SECtestsecret0001", stamp, "é")
    assert not signed("", stamp, SIGN)


def body(**more: object) -> bytes:
    return json.dumps(
        {
            "msgtype": "text",
            "text": {"content": " 列表 "},
            "msgId": "msg1",
            "senderId": "$:LWCP_v1:$a",
            "senderNick": "王敏",
            "conversationType": "2",
            "conversationId": "cid1",
            "sessionWebhook": "https://oapi.dingtalk.com/robot/sendBySession?session=s",
            "sessionWebhookExpiredTime": 1577267636757,
        }
        | more
    ).encode()


def test_a_dingtalk_message_is_read_with_the_time_its_answer_has() -> None:
    read = dingtalk.read(body(), now=NOW)
    assert (read.text, read.sender_name, read.is_group) == ("列表", "王敏", True)
    assert read.reply_until == NOW + timedelta(minutes=90)
    assert dingtalk.read(body(sessionWebhookExpiredTime=9e18), now=NOW).reply_until is None
    assert dingtalk.read(body(msgtype="picture"), now=NOW).text == "[picture]"
    rich = {"richText": [{"text": "a"}, {"pictureDownloadCode": "x"}, {"text": "b"}]}
    assert dingtalk.read(body(msgtype="richText", content=rich), now=NOW).text == "a\nb"


@pytest.mark.parametrize("more", [{"msgId": ""}, {"senderId": None}, {"msgId": {"a": 1}}])
def test_a_message_without_id_or_sender_is_refused(more: dict[str, object]) -> None:
    with pytest.raises(BadInputError):
        dingtalk.read(body(**more), now=NOW)


@pytest.mark.parametrize("url", ["http://oapi.dingtalk.com/x", "https://evil.example/x", "file:///etc/passwd", "", "x"])
def test_an_answer_goes_to_dingtalks_own_host_and_nowhere_else(url: str) -> None:
    outcome = dingtalk.reply(url, "hi", title="t", limits=Limits(connect_s=0.1, total_s=0.1))
    assert (outcome.verdict, outcome.code) == (Verdict.REFUSED, "not sent")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("@RDMP 绑定 12345678", Command(Word.BIND, "12345678")),
        ("bind 1234 5678", Command(Word.BIND, "1234 5678")),
        ("绑定一下域名", Command(Word.SAY, "绑定一下域名")),
        ("列表", Command(Word.LIST)),
        ("LIST", Command(Word.LIST)),
        ("list of orders is empty", Command(Word.SAY, "list of orders is empty")),
        ("确认 INC-000012", Command(Word.ACKNOWLEDGE, incident=12)),
        ("ack #12", Command(Word.ACKNOWLEDGE, incident=12)),
        ("ack", Command(Word.ACKNOWLEDGE)),
        ("acknowledged, thanks", Command(Word.SAY, "acknowledged, thanks")),
        ("确认一下网络是不是断了", Command(Word.SAY, "确认一下网络是不是断了")),
        ("评论 12 已重启", Command(Word.COMMENT, "已重启", 12)),
        ("comment INC-12: restarted", Command(Word.COMMENT, "restarted", 12)),
        ("新事件 严重：登录失败", Command(Word.NEW, "登录失败", severity=2)),
        ("[灾难] 全站打不开", Command(Word.SAY, "全站打不开", severity=1)),
        ("注意：磁盘", Command(Word.SAY, "注意：磁盘")),
        ("INC-12 还是不行", Command(Word.SAY, "INC-12 还是不行", 12)),
        ("帮助", Command(Word.HELP)),
        ("help me, the shop is down", Command(Word.SAY, "help me, the shop is down")),
        ("", Command(Word.SAY)),
    ],
)
def test_what_people_type_is_understood_and_sentences_stay_sentences(said: str, meant: Command) -> None:
    assert commands.read(said) == meant
