"""Simulated ends of the outgoing channels: a DingTalk robot, a WeCom robot and a webhook receiver on one local port.

They check what the real ones check (token, signature, clock, keyword, size, rate) and fail on demand, so that tests
and the demo speak to something that can say no. `python -m demo.robots --port 8790` runs them by themselves; the
start page shows what has been received.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import hmac
import html
import json
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

WINDOW_S = 60.0
PER_MINUTE = 20
DINGTALK_MUTE_S = 600.0
DINGTALK_BODY_BYTES = 20_000
TOO_FAST = {
    "dingtalk": (130101, "send too fast, exceed 20 times per minute"),
    "wecom": (45009, "api freq out of limit"),
}
CLOCK_TOLERANCE_MS = 3_600_000
WEBHOOK_TOLERANCE_S = 300


class Fault(StrEnum):
    ERRCODE = "errcode"  # answers with the errcode given as value
    HTTP = "http"  # answers with the HTTP status given as value
    TIMEOUT_AFTER = "timeout-after"  # takes the message, then never answers
    RESET_AFTER = "reset-after"  # takes the message, then resets the connection
    HANG = "hang"  # neither takes nor answers
    RESET = "reset"  # resets the connection without taking anything
    GARBAGE = "garbage"  # HTTP 200 with a page that is not the promised JSON
    DRIP = "drip"  # answers one byte a second, for ever
    REDIRECT = "redirect"  # sends the caller elsewhere


@dataclass(frozen=True)
class Received:
    """One message that a robot took. `robot` is its token or key, `reference` the webhook's delivery id."""

    kind: str
    robot: str
    at: float
    title: str
    text: str
    raw: str
    reference: str = ""


@dataclass(frozen=True)
class _Dingtalk:
    secret: str
    keyword: str


@dataclass
class _Rate:
    times: deque[float] = field(default_factory=deque)
    muted_until: float = 0.0


@dataclass
class _Book:
    """Everything the robots remember; guarded by one lock because every request has its own thread."""

    clock: Callable[[], float]
    lock: threading.Lock = field(default_factory=threading.Lock)
    dingtalk: dict[str, _Dingtalk] = field(default_factory=dict)
    wecom: set[str] = field(default_factory=set)
    webhook: dict[str, str] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    received: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    faults: deque[tuple[Fault, int]] = field(default_factory=deque)
    rates: defaultdict[str, _Rate] = field(default_factory=lambda: defaultdict(_Rate))
    seen: set[str] = field(default_factory=set)
    released: threading.Event = field(default_factory=threading.Event)

    def next_fault(self) -> tuple[Fault, int] | None:
        with self.lock:
            return self.faults.popleft() if self.faults else None

    def too_fast(self, robot: str, *, mute_s: float) -> bool:
        """Counts this call. More than PER_MINUTE in a minute is refused, and so is everything while muted."""
        now, rate = self.clock(), self.rates[robot]
        if now < rate.muted_until:
            return True
        while rate.times and rate.times[0] <= now - WINDOW_S:
            rate.times.popleft()
        if len(rate.times) >= PER_MINUTE:
            rate.muted_until = now + mute_s
            return True
        rate.times.append(now)
        return False


class Robots:
    """The local endpoint. Use as a context manager; `clock` replaces time for rate and signature checks."""

    def __init__(self, *, port: int = 0, clock: Callable[[], float] = time.time) -> None:
        self.book = _Book(clock)
        handler = type("BoundHandler", (_Handler,), {"book": self.book})
        self._server = _Server(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Robots:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.book.released.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def received(self) -> list[Received]:
        with self.book.lock:
            return list(self.book.received)

    @property
    def refused(self) -> list[str]:
        """Codes of the messages that were turned away, in order."""
        with self.book.lock:
            return list(self.book.refused)

    def add_dingtalk(self, token: str, *, secret: str = "", keyword: str = "") -> None:
        self.book.dingtalk[token] = _Dingtalk(secret, keyword)

    def add_wecom(self, key: str) -> None:
        self.book.wecom.add(key)

    def session(self, conversation: str) -> str:
        """The address for answers into a conversation, as a listening robot is told with each message."""
        with self.book.lock:
            self.book.sessions.add(conversation)
        return f"{self.base}/robot/sendBySession?session={conversation}"

    def add_webhook(self, name: str, *, secret: str) -> str:
        """Returns the receiver's address."""
        self.book.webhook[name] = secret
        return f"{self.base}/hook/{name}"

    def fail_next(self, fault: Fault, value: int = 0, *, times: int = 1) -> None:
        with self.book.lock:
            self.book.faults.extend([(fault, value)] * times)

    def heal(self) -> None:
        """Forget the planned faults and let hanging calls go."""
        with self.book.lock:
            self.book.faults.clear()
        self.book.released.set()

    def wait_for(self, count: int, timeout_s: float = 10.0) -> list[Received]:
        """The received messages once there are `count` of them, or what there is after `timeout_s`."""
        until = time.monotonic() + timeout_s
        while len(self.received) < count and time.monotonic() < until:
            time.sleep(0.02)
        return self.received


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that hangs up is what the tests do on purpose: no trace for it."""


class _Handler(BaseHTTPRequestHandler):
    book: ClassVar[_Book]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Silent: the query string holds the token."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/":
            self._answer(200, _page(self.book).encode(), "text/html; charset=utf-8")
        elif path == "/_/received":
            with self.book.lock:
                messages = [asdict(message) for message in self.book.received]
            self._json({"received": messages, "refused": self.book.refused})
        else:
            self._json({"errcode": 404, "errmsg": "no such page"}, 404)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/_/faults":
            plan = json.loads(content)
            with self.book.lock:
                self.book.faults.extend([(Fault(plan["fault"]), int(plan.get("value", 0)))] * int(plan.get("times", 1)))
            self._json({"ok": True})
            return
        fault = self.book.next_fault()
        if fault is not None and self._fails_before(*fault):
            return
        status, answer = self._deliver(parts.path, query, content)
        if fault is not None:
            self._fails_after(fault[0])
            return
        self._json(answer, status)

    def _deliver(self, path: str, query: dict[str, str], content: bytes) -> tuple[int, dict[str, object]]:
        with self.book.lock:
            if path == "/robot/send":
                code, words = dingtalk(self.book, query, content)
                status = 200
            elif path == "/robot/sendBySession":
                code, words = dingtalk_session(self.book, query, content)
                status = 200
            elif path == "/cgi-bin/webhook/send":
                code, words = wecom(self.book, query, content)
                status = 200
            elif path.startswith("/hook/"):
                status, words = webhook(self.book, path.removeprefix("/hook/"), dict(self.headers.items()), content)
                code = 0 if status == 200 else status
            else:
                status, code, words = 404, 404, "no such robot"
            if code:
                self.book.refused.append(str(code))
            return status, {"errcode": code, "errmsg": words}

    def _fails_before(self, fault: Fault, value: int) -> bool:
        """Carry out a fault that comes before the message is taken. False when it comes after."""
        if fault is Fault.ERRCODE:
            self._json({"errcode": value, "errmsg": "failed on demand"})
        elif fault is Fault.HTTP:
            self._json({"errcode": value, "errmsg": "failed on demand"}, value)
        elif fault is Fault.HANG:
            self._hang()
        elif fault is Fault.RESET:
            self._reset()
        elif fault is Fault.GARBAGE:
            self._answer(200, b"<html>Please sign in to this network</html>", "text/html")
        elif fault is Fault.REDIRECT:
            self._answer(302, b"", "text/plain", {"Location": "http://127.0.0.1:1/elsewhere"})
        elif fault is Fault.DRIP:
            self._drip()
        else:
            return False
        return True

    def _fails_after(self, fault: Fault) -> None:
        if fault is Fault.TIMEOUT_AFTER:
            self._hang()
        else:
            self._reset()

    def _hang(self) -> None:
        self.book.released.wait(60)
        self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _drip(self) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not self.book.released.wait(0.2):
                self.wfile.write(b" ")
        self.close_connection = True

    def _json(self, answer: dict[str, object], status: int = 200) -> None:
        self._answer(status, json.dumps(answer, ensure_ascii=False).encode(), "application/json")

    def _answer(self, status: int, content: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def dingtalk(book: _Book, query: dict[str, str], content: bytes) -> tuple[int, str]:
    """A DingTalk custom robot's verdict: (errcode, errmsg)."""
    token = query.get("access_token", "")
    robot = book.dingtalk.get(token)
    if robot is None:
        return 300001, "token is not exist"
    if robot.secret and (wrong := _signature_error(robot.secret, query, book.clock())):
        return 310000, wrong
    try:
        title, text = _dingtalk_text(json.loads(content))
    except (ValueError, KeyError, TypeError):
        return 40035, "invalid parameter"
    if len(content) > DINGTALK_BODY_BYTES:
        return 460101, "message too long"
    if robot.keyword and robot.keyword not in title + text:
        return 310000, "keywords not in content"
    return _count(book, Received("dingtalk", token, book.clock(), title, text, content.decode()), DINGTALK_MUTE_S)


def dingtalk_session(book: _Book, query: dict[str, str], content: bytes) -> tuple[int, str]:
    """The verdict on an answer into a conversation: (errcode, errmsg). Such answers are not signed."""
    session = query.get("session", "")
    if session not in book.sessions:
        return 300001, "session is not exist"
    try:
        title, text = _dingtalk_text(json.loads(content))
    except (ValueError, KeyError, TypeError):
        return 40035, "invalid parameter"
    book.received.append(Received("dingtalk", session, book.clock(), title, text, content.decode()))
    return 0, "ok"


def _count(book: _Book, message: Received, mute_s: float) -> tuple[int, str]:
    """Take the message when the robot's minute has room for it."""
    if book.too_fast(message.robot, mute_s=mute_s):
        return TOO_FAST[message.kind]
    book.received.append(message)
    return 0, "ok"


def _signature_error(secret: str, query: dict[str, str], now: float) -> str:
    stamp = query.get("timestamp", "")
    if not stamp.isdecimal() or abs(now * 1000 - int(stamp)) > CLOCK_TOLERANCE_MS:
        return "invalid timestamp"
    digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
    matches = hmac.compare_digest(base64.b64encode(digest).decode(), query.get("sign", ""))
    return "" if matches else "sign not match"


def _dingtalk_text(message: dict[str, dict[str, str]]) -> tuple[str, str]:
    kind = str(message["msgtype"])
    part = message[kind]
    if kind == "text":
        return "", part["content"]
    if kind in ("markdown", "actionCard", "link"):
        return part["title"], part["text"]
    raise KeyError(kind)


def wecom(book: _Book, query: dict[str, str], content: bytes) -> tuple[int, str]:
    """A WeCom group robot's verdict: (errcode, errmsg)."""
    key = query.get("key", "")
    if key not in book.wecom:
        return 93000, "invalid webhook url"
    try:
        message = json.loads(content)
        kind = str(message["msgtype"])
        text = str(message[kind]["content"])
    except (ValueError, KeyError, TypeError):
        return 40008, "invalid message type"
    limit = {"text": 2048, "markdown": 4096, "markdown_v2": 4096}.get(kind, 0)
    if len(text.encode()) > limit:
        return 40058, f"{kind}.content exceed max length {limit}"
    return _count(book, Received("wecom", key, book.clock(), "", text, content.decode()), WINDOW_S)


def webhook(book: _Book, name: str, headers: dict[str, str], content: bytes) -> tuple[int, str]:
    """What a careful receiver of our webhook does: (HTTP status, words). A repeated delivery is taken once."""
    secret = book.webhook.get(name)
    if secret is None:
        return 404, "no such receiver"
    stamp = headers.get("X-RDMP-Timestamp", "")
    if not stamp.isdecimal() or abs(book.clock() - int(stamp)) > WEBHOOK_TOLERANCE_S:
        return 401, "stale timestamp"
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + content, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(f"v1={digest}", headers.get("X-RDMP-Signature", "")):
        return 401, "bad signature"
    message = json.loads(content)
    reference = headers.get("X-RDMP-Delivery", "")
    if reference not in book.seen:
        book.seen.add(reference)
        book.received.append(
            Received("webhook", name, book.clock(), message["subject"], message["text"], content.decode(), reference)
        )
    return 200, "ok"


def _page(book: _Book) -> str:
    """The received messages, newest first, as a plain page for a person who watches the demo."""
    with book.lock:
        newest = list(reversed(book.received[-200:]))
        refused = len(book.refused)
    rows = "".join(
        f"<article><h2>{html.escape(message.kind)} · {time.strftime('%H:%M:%S', time.localtime(message.at))}</h2>"
        f"<pre>{html.escape(message.text)}</pre></article>"
        for message in newest
    )
    style = (
        "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;background:#f6f8fb}"
        "article{background:#fff;border:1px solid #dce1e7;border-radius:.5rem;padding:.5rem 1rem;margin:.75rem 0}"
        "h2{font-size:.85rem;color:#667382;margin:0}pre{white-space:pre-wrap;font:inherit;margin:.25rem 0}"
    )
    return (
        f"<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=2><title>模拟群机器人</title>"
        f"<style>{style}</style><h1>模拟群机器人 Simulated group robots</h1>"
        f"<p>已收 {len(newest)} 条，拒收 {refused} 条。Received {len(newest)}, refused {refused}.</p>{rows}"
    )


@contextlib.contextmanager
def running(*, clock: Callable[[], float] = time.time) -> Iterator[Robots]:
    """Robots on a free port, for a test."""
    with Robots(clock=clock) as robots:
        yield robots


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulated DingTalk and WeCom robots and a webhook receiver")
    parser.add_argument("--port", type=int, default=8790)
    parser.add_argument("--dingtalk", action="append", default=[], metavar="TOKEN[,SECRET[,KEYWORD]]")
    parser.add_argument("--wecom", action="append", default=[], metavar="KEY")
    parser.add_argument("--webhook", action="append", default=[], metavar="NAME,SECRET")
    options = parser.parse_args()
    with Robots(port=options.port) as robots:
        for token, secret, keyword in ((*entry.split(","), "", "")[:3] for entry in options.dingtalk):
            robots.add_dingtalk(token, secret=secret, keyword=keyword)
        for key in options.wecom:
            robots.add_wecom(key)
        for name, secret in (entry.split(",", 1) for entry in options.webhook):
            robots.add_webhook(name, secret=secret)
        print(f"simulated robots at {robots.base}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
