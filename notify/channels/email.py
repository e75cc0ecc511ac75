"""E-mail over SMTP, step by step: what the server said to each recipient, and whether the data had been handed over."""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr

from notify.channels.notice import scrub
from notify.channels.outcome import Outcome, Verdict


@dataclass(frozen=True)
class Server:
    """`implicit_tls`: port 465. `starttls`: upgrade first and refuse to go on without it."""

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    implicit_tls: bool = False
    starttls: bool = False
    timeout_s: float = 15.0


@dataclass(frozen=True)
class Mail:
    """`message_id` without angle brackets, the same on every try, so that a mailbox can drop a repeat."""

    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    html: str
    message_id: str
    thread_id: str = ""
    reply_to: str = ""


def build(mail: Mail, *, now: datetime) -> EmailMessage:
    """The message with both bodies. `Auto-Submitted` keeps holiday answers away (RFC 3834)."""
    message = EmailMessage(policy=SMTP_POLICY)
    name, address = parseaddr(mail.sender)
    message["From"] = Address(name, addr_spec=address)
    message["To"] = [Address(addr_spec=recipient) for recipient in mail.recipients]
    message["Subject"] = " ".join(mail.subject.split())
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{mail.message_id}>"
    if mail.reply_to:
        message["Reply-To"] = Address(addr_spec=mail.reply_to)
    if mail.thread_id:
        message["References"] = f"<{mail.thread_id}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def send(server: Server, mail: Mail, *, now: datetime) -> Outcome:
    """One try. ACCEPTED means the server took it for at least one recipient; those it refused are named in `detail`."""
    content = build(mail, now=now).as_bytes()
    sender = parseaddr(mail.sender)[1]
    try:
        client = _connect(server)
    except smtplib.SMTPAuthenticationError as error:
        return Outcome(Verdict.REFUSED, f"smtp {error.smtp_code}", "the mail server refused our sign-in")
    except smtplib.SMTPNotSupportedError:
        return Outcome(Verdict.REFUSED, "not sent", "the mail server offers no STARTTLS or sign-in")
    except (OSError, smtplib.SMTPException) as error:
        return Outcome(Verdict.FAILED, "not sent", f"no connection to the mail server: {type(error).__name__}")
    with contextlib.closing(client):
        outcome = _hand_over(client, sender, mail.recipients, content, (server.password,))
        with contextlib.suppress(OSError, smtplib.SMTPException):
            client.quit()
        return outcome


def _connect(server: Server) -> smtplib.SMTP:
    context = ssl.create_default_context()
    client: smtplib.SMTP
    if server.implicit_tls:
        client = smtplib.SMTP_SSL(server.host, server.port, timeout=server.timeout_s, context=context)
    else:
        client = smtplib.SMTP(server.host, server.port, timeout=server.timeout_s)
    try:
        client.ehlo_or_helo_if_needed()
        if server.starttls:
            client.starttls(context=context)
        if server.username:
            client.login(server.username, server.password)
    except BaseException:  # whatever stopped us, the socket must not stay open; the error goes on
        client.close()
        raise
    return client


def _hand_over(
    client: smtplib.SMTP, sender: str, recipients: tuple[str, ...], content: bytes, secrets: tuple[str, ...]
) -> Outcome:
    """MAIL, RCPT, DATA by hand: until DATA nothing is delivered, after it the answer decides."""
    refused: dict[str, tuple[int, str]] = {}
    try:
        code, words = client.mail(sender)
        if code >= 400:
            return _refusal(code, _words(words, secrets))
        for recipient in recipients:
            code, words = client.rcpt(recipient)
            if code >= 400:
                refused[recipient] = (code, _words(words, secrets))
    except (OSError, smtplib.SMTPException) as error:
        return Outcome(Verdict.FAILED, "not sent", f"the mail server hung up: {type(error).__name__}")
    named = "; ".join(f"{recipient}: {code} {words}" for recipient, (code, words) in refused.items())
    if len(refused) == len(recipients):
        return _refusal(min(code for code, _ in refused.values()), named)
    return _data(client, content, secrets, named)


def _data(client: smtplib.SMTP, content: bytes, secrets: tuple[str, ...], refused: str) -> Outcome:
    try:
        code, words = client.data(content)
    except smtplib.SMTPDataError as error:
        return _refusal(error.smtp_code, _words(error.smtp_error, secrets))
    except (OSError, smtplib.SMTPException) as error:
        reason = f"the mail server hung up after the data: {type(error).__name__}"
        return Outcome(Verdict.UNCERTAIN, "no answer", reason)
    answer = _words(words, secrets)
    if code != 250:
        return _refusal(code, answer)
    return Outcome(Verdict.ACCEPTED, "smtp 250", "; ".join(filter(None, [answer, refused])))


def _words(answer: bytes | str, secrets: tuple[str, ...]) -> str:
    return scrub(answer.decode(errors="replace") if isinstance(answer, bytes) else answer, secrets)


def _refusal(code: int, detail: str) -> Outcome:
    """4xx is "try again later" (RFC 5321 §4.2.1), 5xx is for good."""
    return Outcome(Verdict.FAILED if 400 <= code < 500 else Verdict.REFUSED, f"smtp {code}", detail)
