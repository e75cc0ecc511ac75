"""A simulated push service and the browsers behind it: checks the signature, decrypts what it is sent.

It decrypts after RFC 8291 and RFC 8188 and verifies the token of RFC 8292 with `cryptography` alone, not with the
library that the platform encrypts with: what this reads, a browser reads.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import ClassVar, Self

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LONGEST_PASS_S = 24 * 3600
MOST_BYTES = 4096


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    numbers = key.public_numbers()
    return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def _expand(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF (RFC 5869) with one block of SHA-256."""
    key = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(key, info + b"\x01", hashlib.sha256).digest()[:length]


def decrypt(body: bytes, private: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """The plain text of one aes128gcm record. Raises ValueError when it is not for this browser."""
    salt, size, key_length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
    server_point, sealed = body[21 : 21 + key_length], body[21 + key_length :]
    if len(sealed) > size:
        raise ValueError("more than one record")
    server = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), server_point)
    info = b"WebPush: info\x00" + _point(private.public_key()) + server_point
    secret = _expand(private.exchange(ec.ECDH(), server), auth, info, 32)
    key = _expand(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _expand(secret, salt, b"Content-Encoding: nonce\x00", 12)
    try:
        padded = AESGCM(key).decrypt(nonce, sealed, None)
    except InvalidTag:
        raise ValueError("not for this browser") from None
    content, mark = padded.rstrip(b"\x00")[:-1], padded.rstrip(b"\x00")[-1:]
    if mark != b"\x02":
        raise ValueError("no last record")
    return content


def check_pass(authorization: str, *, audience: str, key: str, now: float) -> str:
    """What is wrong with a VAPID header, or "": its signature, for whom it is, until when, and whose key."""
    scheme, _, rest = authorization.partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    if scheme.lower() != "vapid" or parts.get("k") != key:
        return "not the key that the browser subscribed with"
    signed, _, signature = parts.get("t", "").rpartition(".")
    raw = decoded(signature)
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(key))
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        public.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return "signature"
    claims = json.loads(decoded(signed.split(".")[1]))
    if claims.get("aud") != audience:
        return f"audience {claims.get('aud')}"
    if not now < claims.get("exp", 0) <= now + LONGEST_PASS_S:
        return "expiry"
    return "" if str(claims.get("sub", "")).startswith("mailto:") else "contact"


@dataclass
class Browser:
    """One subscription: what the page would send to the platform, and what has arrived."""

    endpoint: str
    application_key: str
    private: ec.EllipticCurvePrivateKey
    auth: bytes
    is_gone: bool = False
    shown: list[dict[str, object]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def subscription(self) -> dict[str, str]:
        return {
            "endpoint": self.endpoint,
            "p256dh": encoded(_point(self.private.public_key())),
            "auth": encoded(self.auth),
        }


class PushService:
    """`with PushService() as service: browser = service.subscribe(application_key)`"""

    def __init__(self, *, port: int = 0, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.browsers: dict[str, Browser] = {}
        self.refused: list[str] = []
        self.answers: list[tuple[int, Mapping[str, str]]] = []  # what is answered next instead
        handler = type("BoundHandler", (_Handler,), {"service": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def subscribe(self, application_key: str) -> Browser:
        name = secrets.token_hex(8)
        browser = Browser(
            endpoint=f"{self.base}/push/{name}",
            application_key=application_key,
            private=ec.generate_private_key(ec.SECP256R1()),
            auth=secrets.token_bytes(16),
        )
        self.browsers[name] = browser
        return browser

    def take(self, name: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """Status and reason of one message."""
        browser = self.browsers.get(name)
        if browser is None or browser.is_gone:
            return 410, "gone"
        wrong = check_pass(
            headers.get("authorization", ""), audience=self.base, key=browser.application_key, now=self.clock()
        )
        if wrong:
            return 403, wrong
        if headers.get("content-encoding") != "aes128gcm" or not headers.get("ttl", "").isdigit():
            return 400, "headers"
        if len(body) > MOST_BYTES:
            return 413, "too large"
        try:
            shown = json.loads(decrypt(body, browser.private, browser.auth))
        except ValueError as error:
            return 400, str(error)
        browser.shown.append(shown)
        browser.headers.append(headers)
        return 201, ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    service: ClassVar[PushService]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Silent: the path is the browser's secret."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.service.answers:
            status, more = self.service.answers.pop(0)
            reason = "on demand"
        else:
            status, reason = self.service.take(self.path.removeprefix("/push/"), headers, body)
            more = {"Location": f"{self.service.base}/message/1"} if status == 201 else {}
        if status >= 400:
            self.service.refused.append(reason)
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reason)))
        self.end_headers()
        self.wfile.write(reason.encode())
