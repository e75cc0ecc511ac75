"""Mails as strangers write them: charsets, HTML, quotes, machines, forged proofs, and what chokes parsers."""

import contextlib
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from notify.inbound import mail, marks, plain
from notify.inbound.reading import BadInputError


def letter(**headers: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Alice Wang <Alice@Example.com>"
    message["To"] = "service@rdmp.example"
    message["Subject"] = "Orders cannot be paid"
    message["Message-ID"] = "<one@example.com>"
    for name, value in headers.items():
        del message[name.replace("_", "-")]
        message[name.replace("_", "-")] = value
    message.set_content("Since ten o'clock.\n")
    return message


def test_a_plain_mail_is_read() -> None:
    read = mail.read(bytes(letter(In_Reply_To="<zero@example.com>", References="<a@x> <zero@example.com>")))
    assert (read.sender, read.sender_name, read.subject) == ("alice@example.com", "Alice Wang", "Orders cannot be paid")
    assert read.text == "Since ten o'clock."
    assert read.references == ("zero@example.com", "a@x")
    assert read.machine == ""


@pytest.mark.parametrize("charset", ["gb2312", "gbk", "gb18030", "big5", "utf-8", "utf-16", "x-nonsense", ""])
def test_chinese_in_every_charset_is_text(charset: str) -> None:
    said = "订单无法支付，請儘快處理"
    if charset in ("gb2312", "big5"):
        said = "订单无法支付" if charset == "gb2312" else "請儘快處理"
    encoding = {"x-nonsense": "gb18030", "": "utf-8"}.get(charset, charset)
    raw = f"From: a@b.example\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode() + said.encode(encoding)
    assert mail.read(raw).text == said


def test_encoded_words_in_headers_are_text_also_when_they_lie_about_their_charset() -> None:
    assert (
        mail.read(b"From: =?gb2312?B?zfXD9A==?= <w@b.example>\r\nSubject: =?GBK?B?tqm1pQ==?=\r\n\r\nx").subject
        == "订单"
    )
    broken = b"From: w@b.example\r\nSubject: =?utf-8?B?////?= =?nonsense?Q?=FF?=\r\n\r\nx"
    assert isinstance(mail.read(broken).subject, str)


def test_a_mail_of_html_alone_becomes_text_without_scripts() -> None:
    message = letter()
    message.set_content(
        "<html><head><title>t</title><style>p{}</style></head><body><p>Der Shop&nbsp;ist <b>weg</b></p>"
        "<script>alert(1)</script><ul><li>eins<li>zwei</ul><blockquote>alt</blockquote></body></html>",
        subtype="html",
    )
    assert mail.read(bytes(message)).text == "Der Shop ist weg\n\n- eins\n- zwei\n\n> alt"


def test_files_come_along_with_their_names_and_inline_pictures_too() -> None:
    message = letter()
    message.add_attachment(b"\x89PNG\r\n\x1a\n0", maintype="image", subtype="png", filename="截图.png")
    message.add_attachment(
        b"\x89PNG\r\n\x1a\n1", maintype="image", subtype="png", filename="i.png", disposition="inline"
    )
    message.add_attachment(letter(), filename="old.eml")
    read = mail.read(bytes(message))
    assert [each.name for each in read.enclosures] == ["截图.png", "i.png", "old.eml"]
    assert b"Since ten" in read.enclosures[2].content
    assert read.text == "Since ten o'clock."


@pytest.mark.parametrize(
    ("headers", "machine"),
    [
        ({"Auto_Submitted": "auto-replied"}, "automatic"),
        ({"Auto_Submitted": "auto-generated; x=y"}, "automatic"),
        ({"Auto_Submitted": "no"}, ""),
        ({"Precedence": "bulk"}, "automatic"),
        ({"Precedence": "list"}, "mailing_list"),
        ({"List_Id": "<all.example.com>"}, "mailing_list"),
        ({"X_Autoreply": "yes"}, "automatic"),
        ({"Return_Path": "<>"}, "bounce"),
        ({"From": "MAILER-DAEMON@mx.example.com"}, "bounce"),
        ({"Subject": "自动回复：休假中"}, "automatic"),
        ({"Subject": "Automatic reply: away"}, "automatic"),
        ({"Subject": "Automatic failover did not work"}, ""),
    ],
)
def test_machines_are_known_by_rfc_3834_and_by_what_they_really_send(headers: dict[str, str], machine: str) -> None:
    assert mail.read(bytes(letter(**headers))).machine == machine


def test_a_delivery_report_is_a_bounce() -> None:
    raw = b'From: p@b.example\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="x"\r\n\r\n--x--'
    assert mail.read(raw).machine == "bounce"


@pytest.mark.parametrize(
    ("results", "vouched"),
    [
        ("mx.rdmp.example; dmarc=pass (p=none) header.from=example.com", True),
        ("mx.rdmp.example; spf=fail smtp.mailfrom=x.example; dkim=pass header.d=example.com", True),
        ("mx.rdmp.example; dkim=pass header.d=mail.example.com", True),
        ("mx.rdmp.example; spf=pass smtp.mailfrom=bounce@example.com", True),
        ("MX.rdmp.example; spf=pass smtp.mailfrom=example.com", True),
        ("mx.rdmp.example; dkim=pass header.d=attacker.example", False),
        ("mx.rdmp.example; dkim=pass header.d=com", False),
        ("mx.rdmp.example; dkim=fail header.d=example.com (dkim=pass header.d=example.com)", False),
        ("mx.rdmp.example; dmarc=passing header.from=example.com", False),
        ("mx.rdmp.example; dkim=pass header.d=evilexample.com", False),
        ("mx.attacker.example; dmarc=pass header.from=example.com", False),
        ("", False),
    ],
)
def test_a_sender_is_proven_by_the_right_servers_word_for_the_right_domain(results: str, vouched: bool) -> None:
    read = mail.read(bytes(letter(**({"Authentication_Results": results} if results else {}))))
    assert mail.is_vouched_for(read, "mx.rdmp.example") is vouched
    assert not mail.is_vouched_for(read, "")


def test_only_the_topmost_results_count_for_the_others_may_have_come_with_the_mail() -> None:
    raw = (
        b"Authentication-Results: mx.rdmp.example; dmarc=fail header.from=example.com\r\n"
        b"Authentication-Results: mx.rdmp.example; dmarc=pass header.from=example.com\r\n"
        b"From: alice@example.com\r\n\r\nx"
    )
    assert not mail.is_vouched_for(mail.read(raw), "mx.rdmp.example")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"Subject: x\r\n\r\n",
        b"From: a@b.example, c@d.example\r\n\r\nx",
        b"From: nobody\r\n\r\n",
        b"\xff" * 99,
    ],
)
def test_a_mail_of_nobody_or_of_several_is_refused(raw: bytes) -> None:
    with pytest.raises(BadInputError):
        mail.read(raw)


def test_mails_made_to_break_readers_do_not() -> None:
    nested = b"From: a@b.example\r\n" + b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(3000)
    )
    many = b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 20_000
    header = b"From: a@b.example\r\nTo: " + b"<" * 50_000 + b"\r\nSubject: " + b"=?utf-8?q?" * 5_000 + b"\r\n\r\nx"
    wrong = (
        b"From: a@b.example\r\nContent-Type: text/plain; charset*=x'y'z\r\nContent-Transfer-Encoding: base64\r\n\r\n!!"
    )
    for raw in (nested, many, header, wrong):
        with contextlib.suppress(BadInputError):
            assert len(mail.read(raw).enclosures) <= mail.MOST_FILES
        assert len(mail.key_of(raw)) == 64


def test_the_same_mail_by_another_way_has_the_same_key_and_another_mail_has_not() -> None:
    one = bytes(letter())
    assert mail.key_of(one) == mail.key_of(b"Received: from elsewhere\r\n" + one)
    assert mail.key_of(one) != mail.key_of(one.replace(b"ten", b"two"))
    assert mail.key_of(one) != mail.key_of(one.replace(b"Alice@", b"Mallory@")), "a copied id hides no other mail"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes.\n\nOn Mon, 2 Mar 2026 at 10:00, RDMP <s@x> wrote:\n> What?\n> Really?", "Yes."),
        ("Yes.\n\nOn Mon, 2 Mar 2026 at 10:00,\nRDMP <s@x> wrote:\n> What?", "Yes."),
        ("好的。\n\n在 2026年3月2日，RDMP 写道：\n> 请问", "好的。"),
        ("好的\n\n------------------ 原始邮件 ------------------\n发件人: RDMP\n发送时间: 今天", "好的"),
        ("OK\n\n-----Original Message-----\nFrom: RDMP\nSent: today", "OK"),
        ("OK\n\n________________________________\nFrom: RDMP\nSent: today\nSubject: x", "OK"),
        ("行\n\n发件人：RDMP\n发送时间：2026年3月2日\n收件人：王敏\n主题：x\n\n旧文", "行"),
        ("> What?\nThis.\n> And?\nThat.", "This.\nThat."),
        ("Done\n-- \nAlice\nJia Ltd", "Done"),
        ("From: the log\nthere is nothing", "From: the log\nthere is nothing"),
        ("> only quotes", "> only quotes"),
        ("", ""),
    ],
)
def test_a_reply_is_what_was_written_not_what_was_quoted(text: str, said: str) -> None:
    assert plain.without_quotes(text) == said


def test_long_lines_cost_no_time() -> None:
    for line in ("On " + "x " * 50_000, "在" * 50_000, "-" * 100_000, "<p" * 50_000, "&" * 100_000):
        plain.without_quotes(line)
        plain.from_html(line)


def test_a_mark_is_known_again_wherever_it_stands_and_no_other_is() -> None:
    mark = marks.make(b"key", "INC-000123")
    assert marks.references_in(b"key", f"Re: 回复: [{mark.upper()}] x") == ["INC-000123"]
    assert marks.references_in(b"key", marks.plus_address("service@x.example", mark)) == ["INC-000123"]
    assert marks.references_in(b"other", mark) == []
    assert marks.references_in(b"key", mark.replace("123", "124")) == []
    assert marks.references_in(b"key", "INC-000123", "INC-000123-aaaaaaaaaa") == []


def returned_mail(action: str = "failed") -> bytes:
    """As Postfix writes it (RFC 3464)."""
    return (
        "From: MAILER-DAEMON@mx.example\nTo: service@rdmp.example\nSubject: Undelivered\nAuto-Submitted: auto-replied\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\nMIME-Version: 1.0\n\n'
        "--b\nContent-Type: text/plain\n\nI'm sorry.\n"
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n"
        f"Final-Recipient: rfc822; gone@jia.example\nAction: {action}\nStatus: 5.1.1\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\n\n"
        "--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <rdmp.delivery.7@testserver>\nSubject: Report\n\n--b--\n"
    ).encode()


def test_a_mail_that_came_back_says_which_and_why() -> None:
    read = mail.read(returned_mail())
    assert read.machine == "bounce"
    assert read.returned == mail.Returned(("rdmp.delivery.7@testserver",), "5.1.1", "550 5.1.1 no such user")


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed"])
def test_a_report_of_no_failure_returns_nothing(action: str) -> None:
    assert mail.read(returned_mail(action)).returned is None
