"""A mail as it is read: who, about what, in reply to what, with which files; and whether a machine sent it (RFC 3834).

The standard parser is used with its old policy, which never raises on what strangers put into headers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import HeaderParseError, MessageError
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses
from typing import Final

from notify.inbound import plain, reading
from notify.inbound.reading import BadInputError

MOST_PARTS: Final = 200
MOST_FILES: Final = 30
MOST_REFERENCES: Final = 50
IDENTIFIER: Final = re.compile(r"<([^<>\s]{3,190})>")
ADDRESS: Final = re.compile(r"[^@\s<>,;:\"]{1,64}@[A-Za-z0-9.-]{1,190}")
CHARSETS: Final = dict.fromkeys(("gb2312", "gbk", "gb_2312-80", "x-gbk", "cp936"), "gb18030")
AUTOMATIC_HEADERS: Final = ("X-Autoreply", "X-Autorespond", "X-AutoReply-From", "X-Mail-Autoreply")
AUTOMATIC_SUBJECT: Final = re.compile(
    r"\s*(?:自动回复|自动答复|自动应答|automatic reply|auto(?:matic)?[- ]?(?:reply|response)|out of (?:the )?office)",
    re.IGNORECASE,
)
DAEMONS: Final = ("mailer-daemon", "postmaster")


@dataclass(frozen=True, slots=True)
class Enclosure:
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Returned:
    """A mail that could not be delivered, for good (RFC 3464): which, the status code, what the other server said."""

    message_ids: tuple[str, ...]
    status: str
    words: str


@dataclass(frozen=True, slots=True)
class Mail:
    """`machine` says why it is no person's mail: automatic, bounce or mailing_list; empty for people's."""

    message_id: str
    references: tuple[str, ...]
    sender: str
    sender_name: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    enclosures: tuple[Enclosure, ...]
    machine: str
    vouched: tuple[str, str]
    """The server and the words of the topmost Authentication-Results."""
    returned: Returned | None = None
    """Of a bounce: what came back and why."""

    @property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2]


def read(raw: bytes) -> Mail:
    """Raises BadInputError when nobody could say who wrote it, or when it is folded too often."""
    try:
        return _mail(message_from_bytes(raw))
    except (RecursionError, MessageError) as error:
        raise BadInputError(f"not a mail: {type(error).__name__}") from None


def key_of(raw: bytes) -> str:
    """One key for one mail, however often and by whichever way a server hands it over."""
    head, _gap, body = raw.partition(b"\r\n\r\n" if b"\r\n\r\n" in raw else b"\n\n")
    try:
        message = message_from_bytes(head + b"\n\n")
    except (RecursionError, MessageError):
        return hashlib.sha256(raw).hexdigest()
    said = [str(message.get(name, "")) for name in ("Message-ID", "From", "Date", "Subject")]
    parts = [part.encode(errors="replace") for part in said] + [body]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_vouched_for(mail: Mail, server: str) -> bool:
    """Whether this server has found by DMARC, DKIM or SPF that the sender's domain sent it (RFC 8601)."""
    named, results = mail.vouched
    if not server or named.lower() != server.lower() or "." not in mail.domain:
        return False
    for result in results.split(";"):
        words = _without_comments(result).lower()
        passed = re.match(r"\s*(dmarc|dkim|spf)\s*=\s*pass\b", words)
        if passed and _aligned(mail.domain, _signer(passed[1], words)):
            return True
    return False


def _signer(method: str, words: str) -> str:
    field = {"dmarc": r"header\.from", "dkim": r"header\.d", "spf": r"smtp\.mailfrom"}[method]
    found = re.search(rf"\b{field}\s*=\s*\"?([^\s;\"]+)", words)
    return found[1].rpartition("@")[2].strip(".") if found else ""


def _aligned(domain: str, signer: str) -> bool:
    """The same domain, or one below the other (RFC 7489, relaxed)."""
    domain = domain.lower()
    return "." in signer and (domain == signer or domain.endswith(f".{signer}") or signer.endswith(f".{domain}"))


def _without_comments(text: str) -> str:
    return re.sub(r"\([^()]*\)", " ", text)


def _mail(message: Message) -> Mail:
    senders = _addresses(message, "From")
    if len(senders) != 1:
        raise BadInputError("the mail has no sender, or several")
    name, sender = senders[0]
    text, files = _content(message)
    references = IDENTIFIER.findall(" ".join(_raw(message, header) for header in ("In-Reply-To", "References")))
    return Mail(
        message_id=next(iter(IDENTIFIER.findall(_raw(message, "Message-ID"))), ""),
        references=tuple(dict.fromkeys(references[:MOST_REFERENCES])),
        sender=sender,
        sender_name=name or sender,
        recipients=tuple(
            address
            for header in ("To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To")
            for _name, address in _addresses(message, header)
        )[:100],
        subject=reading.text(_header(message, "Subject"), 300),
        text=text,
        enclosures=files,
        machine=_machine(message, sender),
        vouched=_vouched(message),
        returned=_returned(message),
    )


def _returned(message: Message) -> Returned | None:
    """None for what is no report of a failure, and for one that says it will be tried again."""
    if message.get_content_type() != "multipart/report":
        return None
    ids: list[str] = []
    status = words = ""
    has_failed = False
    for part, _number in zip(message.walk(), range(MOST_PARTS), strict=False):
        if _raw(part, "Action").strip().lower() == "failed":
            has_failed = True
            status = reading.text(_raw(part, "Status"), 20)
            words = reading.text(_raw(part, "Diagnostic-Code").partition(";")[2], 300)
        if part is not message:
            ids += IDENTIFIER.findall(_raw(part, "Message-ID"))
        if part.get_content_type() == "text/rfc822-headers":
            ids += IDENTIFIER.findall(str(message_from_bytes(_bytes(part)).get("Message-ID", "")))
    return Returned(tuple(dict.fromkeys(ids[:MOST_REFERENCES])), status, words) if has_failed and ids else None


def _machine(message: Message, sender: str) -> str:
    precedence = _raw(message, "Precedence").strip().lower()
    is_report = message.get_content_type() == "multipart/report" or _raw(message, "Return-Path").strip() == "<>"
    if is_report or sender.partition("@")[0] in DAEMONS:
        return "bounce"
    if message.get("List-Id") or precedence == "list":
        return "mailing_list"
    is_automatic = (
        _raw(message, "Auto-Submitted").partition(";")[0].strip().lower() not in ("", "no")
        or precedence in ("bulk", "junk", "auto_reply")
        or any(message.get(name) for name in AUTOMATIC_HEADERS)
        or AUTOMATIC_SUBJECT.match(_header(message, "Subject"))
    )
    return "automatic" if is_automatic else ""


def _vouched(message: Message) -> tuple[str, str]:
    """Only the topmost one: those further down may have come with the mail."""
    said = _raw(message, "Authentication-Results")
    server, _sign, results = said.partition(";")
    words = server.split()
    return (words[0] if words else "", " ".join(results.split())[:2000])


def _content(message: Message) -> tuple[str, tuple[Enclosure, ...]]:
    plains: list[str] = []
    htmls: list[str] = []
    files: list[Enclosure] = []
    for part in _parts(message):
        kind, name = part.get_content_type(), _file_name(part)
        is_file = part.get_content_disposition() == "attachment" or (bool(name) and not kind.startswith("text/"))
        if not is_file and kind == "text/plain":
            plains.append(_decoded(part))
        elif not is_file and kind == "text/html":
            htmls.append(_decoded(part))
        elif len(files) < MOST_FILES and (content := _bytes(part)):
            files.append(Enclosure(name or f"{kind.replace('/', '-')}-{len(files) + 1}", content))
    text = "\n\n".join(filter(str.strip, plains)) or "\n\n".join(map(plain.from_html, htmls))
    return reading.block(text, plain.LONGEST), tuple(files)


def _parts(message: Message) -> Iterator[Message]:
    """The leaves; a mail inside a mail is a file."""
    waiting, seen = [message], 0
    while waiting and seen < MOST_PARTS:
        part = waiting.pop(0)
        seen += 1
        payload = part.get_payload()
        if part.is_multipart() and isinstance(payload, list) and part.get_content_maintype() == "multipart":
            waiting = [each for each in payload if isinstance(each, Message)] + waiting
        else:
            yield part


def _bytes(part: Message) -> bytes:
    if part.is_multipart():
        return bytes(part)
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _decoded(part: Message) -> str:
    content = _bytes(part)
    named = str(part.get_param("charset", "") or "").lower().strip("'\" ")
    for charset in (CHARSETS.get(named, named), "utf-8", "gb18030"):
        try:
            return content.decode(charset) if charset else content.decode()
        except (LookupError, UnicodeDecodeError, ValueError):
            continue
    return content.decode("utf-8", errors="replace")


def _file_name(part: Message) -> str:
    found = part.get_filename()
    return reading.text(_words(found), 200) if found else ""


def _raw(message: Message, name: str) -> str:
    return str(message.get(name, ""))


def _header(message: Message, name: str) -> str:
    return _words(_raw(message, name))


def _words(value: str) -> str:
    """A header's encoded words as text; what cannot be decoded stays as it is."""
    try:
        pieces = decode_header(value)
    except (HeaderParseError, ValueError):
        return value
    shown = []
    for piece, charset in pieces:
        if isinstance(piece, str):
            shown.append(piece)
            continue
        for name in (CHARSETS.get((charset or "").lower(), charset or ""), "utf-8", "gb18030", "latin-1"):
            try:
                shown.append(piece.decode(name or "utf-8"))
                break
            except (LookupError, UnicodeDecodeError):
                continue
    return "".join(shown)


def _addresses(message: Message, name: str) -> list[tuple[str, str]]:
    """Names and lowercased addresses of a header, wherever it stands."""
    values = [str(value) for value in message.get_all(name, [])][:5]
    found = []
    for shown, address in getaddresses(values)[:100]:
        bare = address.strip().lower()
        if ADDRESS.fullmatch(bare):
            found.append((reading.text(_words(shown), 100), bare))
    return found
