"""The adapters against real local ends: what they put on the wire, and what they make of each kind of answer."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from demo.robots import Fault, Robots, running
from notify.channels import dingtalk, email, errcode, http, webhook, wecom
from notify.channels.notice import Notice, cut, fit, scrub
from notify.channels.outcome import Outcome, Verdict
from tests.notify.mailbox import Mailbox

TOKEN, SECRET, KEY = "tok-1f4c9a", "SECtestsecret0001", "key-77aa21"
NOTICE = Notice(subject="CPU of web-1 at 97 %", text="Third check in a row.", link="https://rdmp.example/incidents/7/")


@pytest.fixture
def robots() -> Iterator[Robots]:
    with running() as running_robots:
        running_robots.add_dingtalk(TOKEN, secret=SECRET)
        running_robots.add_wecom(KEY)
        yield running_robots


def limits(robots: Robots, total_s: float = 0.4) -> http.Limits:
    return http.Limits(allowed_hosts=frozenset({robots.host}), connect_s=1, total_s=total_s)


def ding(robots: Robots, notice: Notice = NOTICE, robot: dingtalk.Robot | None = None) -> Outcome:
    robot = robot or dingtalk.Robot(TOKEN, SECRET)
    return dingtalk.send(robot, notice, now=datetime.now(UTC), base=robots.base, limits=limits(robots))


def test_the_signature_matches_the_known_vector() -> None:
    assert dingtalk.sign("SECtestsecret0001", 1577262236757) == "sjKYAYN9wsDbpGiNVjUPcv6CYsk0SnPsDkxEcmBPNOs="


def test_a_signed_message_arrives_with_its_link(robots: Robots) -> None:
    assert ding(robots) == Outcome(Verdict.ACCEPTED, "0", "ok")
    [message] = robots.received
    assert message.title == NOTICE.subject
    assert "[RDMP](https://rdmp.example/incidents/7/)" in message.text


@pytest.mark.parametrize(
    ("robot", "code"),
    [
        (dingtalk.Robot("nobody", SECRET), "300001"),
        (dingtalk.Robot(TOKEN, "SECwrong"), "310000"),
        (dingtalk.Robot(TOKEN), "310000"),
    ],
)
def test_a_wrong_token_or_signature_is_refused_for_good(robots: Robots, robot: dingtalk.Robot, code: str) -> None:
    outcome = ding(robots, robot=robot)
    assert (outcome.verdict, outcome.code) == (Verdict.REFUSED, code)


def test_a_clock_more_than_an_hour_off_is_refused(robots: Robots) -> None:
    late = datetime.now(UTC) - timedelta(minutes=61)
    outcome = dingtalk.send(dingtalk.Robot(TOKEN, SECRET), NOTICE, now=late, base=robots.base, limits=limits(robots))
    assert (outcome.verdict, outcome.code) == (Verdict.REFUSED, "310000")


def test_the_keyword_is_added_when_the_text_lacks_it(robots: Robots) -> None:
    robots.add_dingtalk("worded", keyword="告警")
    assert ding(robots, robot=dingtalk.Robot("worded")).code == "310000"
    assert ding(robots, robot=dingtalk.Robot("worded", keyword="告警")).is_accepted


def test_the_twenty_first_message_of_a_minute_mutes_the_robot_for_ten() -> None:
    clock = [time.time()]
    with running(clock=lambda: clock[0]) as robots:
        robots.add_dingtalk(TOKEN, secret=SECRET)
        assert all(ding(robots).is_accepted for _ in range(20))
        outcome = ding(robots)
        assert (outcome.verdict, outcome.code, outcome.retry_after) == (Verdict.RATE, "130101", timedelta(minutes=10))
        clock[0] += 599
        assert ding(robots).verdict is Verdict.RATE
        clock[0] += 2
        assert ding(robots).is_accepted


def test_a_long_text_is_cut_and_keeps_its_link_and_keyword(robots: Robots) -> None:
    long = replace(NOTICE, subject="磁" * 500, text="盘" * 20_000)
    robots.add_dingtalk("worded", keyword="告警")
    assert ding(robots, long, dingtalk.Robot("worded", keyword="告警")).is_accepted
    assert robots.received[0].text.endswith("[RDMP](https://rdmp.example/incidents/7/)\n\n告警")
    assert "…" in robots.received[0].text
    for everybody in (False, True):
        outcome = wecom.send(
            wecom.Robot(KEY), replace(long, mention_all=everybody), base=robots.base, limits=limits(robots)
        )
        assert outcome.is_accepted
        assert "https://rdmp.example/incidents/7/" in robots.received[-1].text


def test_wecom_limits_and_bad_keys(robots: Robots) -> None:
    def send(key: str) -> Outcome:
        return wecom.send(wecom.Robot(key), NOTICE, base=robots.base, limits=limits(robots))

    assert (send("nobody").verdict, send("nobody").code) == (Verdict.REFUSED, "93000")
    assert all(send(KEY).is_accepted for _ in range(20))
    outcome = send(KEY)
    assert (outcome.verdict, outcome.code, outcome.retry_after) == (Verdict.RATE, "45009", timedelta(minutes=1))


@pytest.mark.parametrize(
    ("fault", "value", "verdict", "arrived"),
    [
        (Fault.ERRCODE, -1, Verdict.FAILED, 0),
        (Fault.ERRCODE, 424242, Verdict.FAILED, 0),
        (Fault.ERRCODE, 310000, Verdict.REFUSED, 0),
        (Fault.HTTP, 500, Verdict.FAILED, 0),
        (Fault.HTTP, 504, Verdict.UNCERTAIN, 0),
        (Fault.HTTP, 403, Verdict.REFUSED, 0),
        (Fault.TIMEOUT_AFTER, 0, Verdict.UNCERTAIN, 1),
        (Fault.RESET_AFTER, 0, Verdict.UNCERTAIN, 1),
        (Fault.HANG, 0, Verdict.UNCERTAIN, 0),
        (Fault.RESET, 0, Verdict.UNCERTAIN, 0),
        (Fault.GARBAGE, 0, Verdict.UNCERTAIN, 0),
        (Fault.DRIP, 0, Verdict.UNCERTAIN, 0),
        (Fault.REDIRECT, 0, Verdict.REFUSED, 0),
    ],
)
def test_every_way_to_fail_has_its_verdict(
    robots: Robots, fault: Fault, value: int, verdict: Verdict, arrived: int
) -> None:
    robots.fail_next(fault, value)
    assert ding(robots).verdict is verdict
    assert len(robots.received) == arrived


def test_a_closed_port_is_a_failure_that_surely_did_not_deliver(robots: Robots) -> None:
    base = robots.base.replace(robots.host, "127.0.0.1:9")
    outcome = dingtalk.send(
        dingtalk.Robot(TOKEN, SECRET),
        NOTICE,
        now=datetime.now(UTC),
        base=base,
        limits=http.Limits(allowed_hosts=frozenset({"127.0.0.1"})),
    )
    assert (outcome.verdict, outcome.code) == (Verdict.FAILED, "not sent")


@pytest.mark.parametrize(
    "base",
    ["https://evil.example", "http://oapi.dingtalk.com", "https://127.0.0.1:1", "ftp://oapi.dingtalk.com", "https://"],
)
def test_only_the_official_host_over_https_is_called(base: str) -> None:
    outcome = dingtalk.send(
        dingtalk.Robot(TOKEN), NOTICE, now=datetime.now(UTC), base=base, limits=http.Limits(total_s=0.2)
    )
    assert (outcome.verdict, outcome.code) == (Verdict.REFUSED, "not sent")


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://10.0.0.8/x",
        "https://169.254.169.254/latest/meta-data",
        "https://100.100.100.200/latest/meta-data",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://0.0.0.0/x",
        "https://2130706433/x",
        "https://user@127.0.0.1/x",
        "https://example.com:99999/x",
    ],
)
def test_a_webhook_cannot_be_aimed_at_our_own_network(url: str) -> None:
    outcome = webhook.send(
        webhook.Receiver(url, "s3cret"), NOTICE, now=datetime.now(UTC), limits=http.Limits(connect_s=0.2, total_s=0.2)
    )
    assert (outcome.verdict, outcome.code) == (Verdict.REFUSED, "not sent")


def test_secrets_are_in_no_outcome_repr_or_log(robots: Robots, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    robot = dingtalk.Robot(TOKEN, SECRET)
    shown = [repr(robot), repr(wecom.Robot(KEY)), repr(webhook.Receiver(f"https://x/{TOKEN}", SECRET))]
    for fault in Fault:
        robots.fail_next(fault, 500)
        shown.append(repr(ding(robots)))
    shown.append(repr(ding(robots, robot=dingtalk.Robot(TOKEN + "\r\nX: 1", SECRET))))
    text = "\n".join([*shown, caplog.text])
    assert TOKEN not in text
    assert SECRET not in text
    assert KEY not in text


def test_a_provider_that_echoes_the_token_is_masked() -> None:
    reply = http.Reply(200, json.dumps({"errcode": 300001, "errmsg": f"token {TOKEN} unknown"}).encode(), {})
    assert TOKEN not in errcode.read_reply(reply, (TOKEN, SECRET), dingtalk.CODES).detail


def test_a_webhook_is_signed_and_a_repeat_is_taken_once(robots: Robots) -> None:
    address = robots.add_webhook("ops", secret="s3cret-value")
    notice = replace(NOTICE, reference="41", severity=1, topic="incident")
    receiver = webhook.Receiver(address, "s3cret-value")
    for _ in range(2):
        assert webhook.send(receiver, notice, now=datetime.now(UTC), limits=limits(robots)).is_accepted
    [message] = robots.received
    assert json.loads(message.raw) == {
        "id": "41",
        "topic": "incident",
        "severity": 1,
        "subject": NOTICE.subject,
        "text": NOTICE.text,
        "url": NOTICE.link,
    }


def test_a_webhook_with_another_secret_or_an_old_timestamp_is_refused(robots: Robots) -> None:
    address = robots.add_webhook("ops", secret="s3cret-value")
    now = datetime.now(UTC)
    wrong = webhook.send(webhook.Receiver(address, "another"), NOTICE, now=now, limits=limits(robots))
    stale = webhook.send(
        webhook.Receiver(address, "s3cret-value"), NOTICE, now=now - timedelta(minutes=6), limits=limits(robots)
    )
    assert (wrong.verdict, stale.verdict) == (Verdict.REFUSED, Verdict.REFUSED)
    assert robots.received == []


def test_a_webhook_says_when_to_come_back(robots: Robots) -> None:
    reply = http.Reply(429, b"slow down", {"retry-after": "30"})
    assert webhook.read_reply(reply, ()).retry_after == timedelta(seconds=30)
    assert webhook.read_reply(http.Reply(429, b"", {"retry-after": "99999999"}), ()).retry_after == timedelta(hours=1)
    assert webhook.read_reply(http.Reply(429, b"", {"retry-after": "soon"}), ()).retry_after == timedelta(minutes=1)


def test_cutting_never_splits_a_character() -> None:
    assert cut("磁盘满", 8) == "磁…"
    assert cut("磁盘满", 9) == "磁盘满"
    assert cut("磁盘", 2) == ""
    assert fit("head", "body", "tail", 9) == "headtail"
    assert scrub("a  b\nTOKEN", ("TOKEN",)) == "a b •••"


MAIL = email.Mail(
    sender="RDMP 服务中台 <rdmp@msp.example>",
    recipients=("alice@jia.example", "bob@jia.example"),
    subject="磁盘将满\r\nBcc: eve@yi.example",
    text="文本",
    html="<p>文本</p>",
    message_id="rdmp.delivery.7@msp.example",
)


def mail(server: email.Server, message: email.Mail = MAIL) -> Outcome:
    return email.send(server, message, now=datetime(2026, 3, 2, 9, tzinfo=UTC))


def test_a_mail_arrives_with_both_bodies_and_no_smuggled_header(mailbox: tuple[Mailbox, email.Server]) -> None:
    box, server = mailbox
    outcome = mail(server)
    assert (outcome.verdict, outcome.detail) == (Verdict.ACCEPTED, "OK queued as 5A1")
    [envelope] = box.envelopes
    content = envelope.content
    assert isinstance(content, bytes)
    assert envelope.rcpt_tos == list(MAIL.recipients)
    assert b"Message-ID: <rdmp.delivery.7@msp.example>" in content
    assert b"Auto-Submitted: auto-generated" in content
    assert b"multipart/alternative" in content
    assert b"\nBcc:" not in content


def test_a_refused_recipient_is_named_and_the_rest_still_get_it(mailbox: tuple[Mailbox, email.Server]) -> None:
    box, server = mailbox
    box.plan["bob@jia.example"] = "550 no such user"
    outcome = mail(server)
    assert outcome.is_accepted
    assert "bob@jia.example: 550 no such user" in outcome.detail
    box.plan["alice@jia.example"] = "450 mailbox busy"
    assert (mail(server).verdict, mail(server).code) == (Verdict.FAILED, "smtp 450")
    box.plan["alice@jia.example"] = "550 no such user"
    assert (mail(server).verdict, mail(server).code) == (Verdict.REFUSED, "smtp 550")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [("451 later", Verdict.FAILED), ("554 spam", Verdict.REFUSED), ("hang up", Verdict.UNCERTAIN)],
)
def test_the_answer_to_the_data_decides(mailbox: tuple[Mailbox, email.Server], answer: str, verdict: Verdict) -> None:
    box, server = mailbox
    box.plan["data"] = answer
    assert mail(server).verdict is verdict


def test_no_mail_server_is_a_failure_that_surely_did_not_deliver() -> None:
    assert mail(email.Server("127.0.0.1", 9, timeout_s=1)).verdict is Verdict.FAILED


def test_a_server_without_starttls_gets_no_password(mailbox: tuple[Mailbox, email.Server]) -> None:
    box, server = mailbox
    outcome = mail(replace(server, starttls=True, username="rdmp", password="hunter2hunter2"))
    assert outcome.verdict is Verdict.REFUSED
    assert box.envelopes == []
