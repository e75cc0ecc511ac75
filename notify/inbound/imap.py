"""Reading a mailbox by IMAP over TLS: what is new behind a mark, whole or in part, and putting it away."""

from __future__ import annotations

import contextlib
import imaplib
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from notify.channels import http

LARGEST: Final = 30 * 1024 * 1024
BEGINNING: Final = 64 * 1024
TIMEOUT_S: Final = 20.0
SIZE: Final = re.compile(rb"RFC822\.SIZE (\d+)")
CAME_AT: Final = re.compile(rb'INTERNALDATE "([^"]+)"')


class MailboxError(Exception):
    """The mailbox cannot be read now; the text says why and holds no secret."""


@dataclass(frozen=True)
class Mailbox:
    host: str
    port: int
    username: str
    password: str = field(repr=False)
    security: str = "ssl"
    folder: str = "INBOX"


@dataclass(frozen=True, slots=True)
class Fetched:
    """One mail on the server; of one that is too large only headers and beginning were taken."""

    uid: int
    raw: bytes
    size: int
    came_at: datetime | None

    @property
    def is_whole(self) -> bool:
        return self.size <= LARGEST


class _Ssl(imaplib.IMAP4_SSL):
    """Connects to the address that was checked and names the host in TLS."""

    def __init__(self, box: Mailbox, address: str) -> None:
        self._checked = address
        super().__init__(box.host, box.port, ssl_context=ssl.create_default_context(), timeout=TIMEOUT_S)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        sock = socket.create_connection((self._checked, self.port), timeout)
        return ssl.create_default_context().wrap_socket(sock, server_hostname=self.host)


class _Plain(imaplib.IMAP4):
    def __init__(self, box: Mailbox, address: str) -> None:
        self._checked = address
        super().__init__(box.host, box.port, timeout=TIMEOUT_S)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return socket.create_connection((self._checked, self.port), timeout)


class Session:
    """A mailbox that is open. Every trouble with it is a MailboxError."""

    def __init__(self, client: imaplib.IMAP4, folder: str) -> None:
        self._client = client
        self._folder = folder
        with _troubles():
            status, _data = client.select(_quoted(folder))
            if status != "OK":
                raise MailboxError(f"there is no folder {folder}")
            self.uid_validity = int(client.response("UIDVALIDITY")[1][0] or b"1")

    def new_uids(self, *, after: int, most: int) -> list[int]:
        """The next uids behind the mark, in their order."""
        return [uid for uid in self._search("UID", f"{after + 1}:*") if uid > after][:most]

    def uids_since(self, moment: datetime) -> list[int]:
        """The uids of what came on that day or later."""
        return self._search("SINCE", f"{moment.astimezone(UTC) - timedelta(days=1):%d-%b-%Y}")

    def fetch(self, uid: int) -> Fetched | None:
        """One mail; None when it is gone."""
        with _troubles():
            described = self._fetch(uid, "(RFC822.SIZE INTERNALDATE)")
            head = b" ".join(part if isinstance(part, bytes) else b" ".join(part) for part in described if part)
            size = SIZE.search(head)
            if size is None:
                return None
            came = CAME_AT.search(head)
            if int(size[1]) <= LARGEST:
                raw = _literal(self._fetch(uid, "(BODY.PEEK[])"))
            else:
                raw = _literal(self._fetch(uid, "(BODY.PEEK[HEADER])"))
                raw += _literal(self._fetch(uid, f"(BODY.PEEK[TEXT]<0.{BEGINNING}>)"))
            return Fetched(uid, raw, int(size[1]), _moment(came[1].decode(errors="replace")) if came else None)

    def put_away(self, uid: int, *, delete: bool) -> None:
        """Mark as read, or delete for good."""
        with _troubles():
            self._client.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Deleted)" if delete else r"(\Seen)")
            if delete and "UIDPLUS" in self._client.capabilities:
                self._client.uid("EXPUNGE", str(uid))
            elif delete:
                self._client.expunge()

    def _search(self, *criteria: str) -> list[int]:
        with _troubles():
            status, found = self._client.uid("SEARCH", *criteria)
            if status != "OK":
                raise MailboxError("the server refused to search")
            return sorted(int(uid) for uid in (found[0] or b"").split() if uid.isdigit())

    def _fetch(self, uid: int, what: str) -> list[bytes | tuple[bytes, bytes]]:
        status, found = self._client.uid("FETCH", str(uid), what)
        if status != "OK":
            raise MailboxError("the server refused to hand over a mail")
        return [part for part in found if part]


@contextlib.contextmanager
def opened(box: Mailbox, *, limits: http.Limits) -> Iterator[Session]:
    """Sign in and open the folder. Only public hosts, or those of `limits`, are called; never without TLS."""
    try:
        address = http.checked_address(box.host, box.port, limits=limits)
    except http.NotSentError as error:
        raise MailboxError(error.reason) from None
    with _troubles():
        client = _connected(box, address)
    try:
        with _troubles("the server refused the user name or the password"):
            client.login(box.username, box.password)
        yield Session(client, box.folder)
    finally:
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            client.logout()


def _connected(box: Mailbox, address: str) -> imaplib.IMAP4:
    if box.security == "ssl":
        return _Ssl(box, address)
    client = _Plain(box, address)
    try:
        client.starttls(ssl.create_default_context())
    except BaseException:  # whatever stopped us, the socket must not stay open; the error goes on
        client.shutdown()
        raise
    return client


@contextlib.contextmanager
def _troubles(refusal: str = "") -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise MailboxError(f"no trusted TLS: {error.reason or type(error).__name__}") from None
    except OSError as error:
        raise MailboxError(f"no connection: {error.strerror or type(error).__name__}") from None
    except imaplib.IMAP4.error:
        raise MailboxError(refusal or "the server answered what cannot be understood") from None
    except (ValueError, TypeError, IndexError):
        raise MailboxError("the server answered what cannot be understood") from None


def _literal(found: list[bytes | tuple[bytes, bytes]]) -> bytes:
    return next((part[1] for part in found if isinstance(part, tuple)), b"")


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text.strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)
    except ValueError:
        return None


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
