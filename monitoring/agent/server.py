"""The agent's HTTP side: /metrics and /state behind a bearer token, /healthz for whoever starts it."""

from __future__ import annotations

import hmac
import json
import logging
import os
import ssl
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from monitoring.agent.config import Config
from monitoring.agent.state import HostState

log = logging.getLogger("rdmp.agent")

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FRESH_S: Final = 0.5
REQUEST_TIMEOUT_S: Final = 10
MAX_AT_ONCE: Final = 16


class Snapshot:
    """The page, made at most twice a second however many ask."""

    def __init__(self, figures: Collector) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(figures)
        self._lock = threading.Lock()
        self._made_at = float("-inf")
        self._page = b""

    def page(self) -> bytes:
        with self._lock:
            if time.monotonic() - self._made_at >= FRESH_S:
                self._page = generate_latest(self._registry)
                self._made_at = time.monotonic()
            return self._page


class AgentServer(ThreadingHTTPServer):
    """Bounded: more than sixteen requests at once are refused, and one that does not finish is cut off."""

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # on Windows it would let another program take the port as well
    request_queue_size = 32

    def __init__(self, config: Config, figures: Collector, state: HostState | None = None) -> None:
        self.state = state
        self.token = config.token
        self.snapshot = Snapshot(figures)
        self._places = threading.BoundedSemaphore(MAX_AT_ONCE)
        super().__init__((config.bind, config.port), Handler)
        if config.tls_cert:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(config.tls_cert, config.tls_key)
            # The handshake happens in the request's thread: a silent client must not hold up the others.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("request from %s ended early", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """GET only; everything but /healthz needs the token."""

    server: AgentServer
    timeout: ClassVar[int] = REQUEST_TIMEOUT_S
    protocol_version = "HTTP/1.1"
    server_version = "rdmp-agent"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._answer(HTTPStatus.OK, b"ok\n")
        elif not self._is_trusted():
            self._answer(HTTPStatus.UNAUTHORIZED, b"A bearer token is needed.\n")
        elif path == "/metrics":
            self._answer(HTTPStatus.OK, self.server.snapshot.page(), CONTENT_TYPE)
        elif path == "/state" and self.server.state is not None:
            body = json.dumps(self.server.state.read(), ensure_ascii=False, separators=(",", ":"))
            self._answer(HTTPStatus.OK, body.encode("utf-8", "replace"), "application/json")
        elif path.startswith("/state/text/") and self.server.state is not None:
            self._text(path.removeprefix("/state/text/"))
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"Not here: /metrics, /state or /healthz.\n")

    def _text(self, digest: str) -> None:
        text = self.server.state.text(digest) if self.server.state is not None else None
        if text is None:
            self._answer(HTTPStatus.NOT_FOUND, b"No text with this digest.\n")
        else:
            self._answer(HTTPStatus.OK, text.encode("utf-8", "replace"))

    def _is_trusted(self) -> bool:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        given = token.strip().encode("latin-1", "replace")
        return hmac.compare_digest(given, self.server.token.encode("ascii")) and scheme.lower() == "bearer"

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Bearer realm="rdmp-agent"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's signature
        log.debug("%s %s", self.address_string(), format % args)
