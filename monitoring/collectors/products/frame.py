"""What the adapters of products share: what a product says of itself, and a visit to one server.

An adapter is one async function. It gets a :class:`Visit`, asks the server through it, and adds figures. The visit
resolves the name once, connects only where the guard allows, notes each step for "test now", keeps counters between
runs, and turns what goes wrong into a problem that says what to do.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

from monitoring.collectors import Job, Outcome, Problem, Step, labels_text
from monitoring.collectors.config.machines import OptionValue, ProductConfig
from monitoring.collectors.counters import LONGEST_S, Counters
from monitoring.collectors.network import Guard, ResolveError, resolve

T = TypeVar("T")

MAX_BYTES: Final = 16 * 1024 * 1024
CHUNK: Final = 64 * 1024
USER_AGENT: Final = "rdmp-collector"
PLATFORM_ADDRESS: Final = "<RDMP>"
"""Stands in configuration snippets for the address the platform connects from."""


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """One thing the customer does before: what it is for, and the exact text to put into a file or to run."""

    zh: str
    en: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """A field of the form that only this product has. Its default tells its type; ``choices`` close the list."""

    name: str
    zh: str
    en: str
    default: OptionValue = ""
    choices: tuple[str, ...] = ()
    help_zh: str = ""
    help_en: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    """A product: what people read, what the form asks for, and how it is read.

    ``asks`` names the fields beyond host and port: ``tls``, ``user``, ``password``, ``path``.
    """

    slug: str
    name_zh: str
    name_en: str
    icon: str
    port: int
    collect: Callable[[Visit], Awaitable[None]]
    prerequisites: tuple[Prerequisite, ...]
    asks: frozenset[str] = frozenset()
    path: str = ""
    user: str = ""
    options: tuple[Option, ...] = ()
    needs: str = ""
    """Versions that work, as people read it."""
    is_middleware: bool = True
    """Counts as one instance of the contract's middleware."""

    def name(self, language: str) -> str:
        return self.name_zh if language.startswith("zh") else self.name_en


class CannotReadError(Exception):
    """Why the server's status cannot be read: a code of ``monitoring.problems`` and what exactly, for people."""

    def __init__(self, code: str, detail: str = "", *, ours: bool = False) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.ours = ours


@dataclass(slots=True)
class Visit:
    """One look at one server."""

    job: Job[ProductConfig]
    guard: Guard
    outcome: Outcome
    memory: dict[str, Any] = field(default_factory=dict)
    """What the adapter itself wants to remember until the next run: JSON."""
    facts: dict[str, str] = field(default_factory=dict)
    _counters: Counters | None = None
    _addresses: Sequence[AddrInfoType] = ()

    def __post_init__(self) -> None:
        self.memory = dict(self.job.state.get("memory", {}))

    @property
    def config(self) -> ProductConfig:
        return self.job.config

    @property
    def password(self) -> str:
        return self.job.token

    def option(self, name: str, default: T) -> T:
        """What was entered for an option; the form and `checked` keep its type."""
        found = self.config.options.get(name, default)
        return found if isinstance(found, type(default)) else default

    # --- figures ---

    @property
    def counters(self) -> Counters:
        """The counters of this look; its moment is that of the first figure."""
        if self._counters is None:
            longest = max(LONGEST_S, 5 * self.job.period_s)
            self._counters = Counters(self.job.state.get("counters", {}), at=time.time(), longest_s=longest)
        return self._counters

    def add(self, metric: str, value: float, **labels: str) -> None:
        """A figure of now."""
        self.outcome.add(self.job, metric, round(self.counters.at * 1000), float(value), labels_text(labels))

    def rate(self, metric: str, counter: float, *, scale: float = 1.0, **labels: str) -> None:
        """A counter of the server as its growth per second times ``scale``; nothing at the first look."""
        text = labels_text(labels)
        found = self.counters.rate(f"{metric} {text}".strip(), counter)
        if found is not None:
            self.outcome.add(self.job, metric, round(self.counters.at * 1000), found * scale, text)

    def fact(self, name: str, text: str) -> None:
        """Something to read rather than to draw: a version, a role."""
        self.facts[name] = text[:200]

    def state(self) -> dict[str, Any]:
        """What the next look needs."""
        return {"counters": dict(self.counters.state), "memory": self.memory, "facts": self.facts}

    # --- steps ---

    def step(self, name: str, text: str = "") -> None:
        self.outcome.steps.append(Step(name, text))

    def lacks(self, code: str, detail: str) -> None:
        """Part of the status cannot be read: the rest goes on, and the target says what is missing."""
        self.outcome.steps.append(Step(code, detail, ok=False))
        self.outcome.problem = self.outcome.problem or Problem(code, detail)

    def version(self, product: str, text: str, *, at_least: tuple[int, ...] = ()) -> None:
        """Note the server's version; raises when it is older than what can be read."""
        self.fact("version", f"{product} {text}".strip())
        found = numbers(text)
        if at_least and found and found < at_least:
            wanted = ".".join(map(str, at_least))
            raise CannotReadError("version", f"{product} {text} < {wanted}")
        self.step("version", f"{product} {text}".strip())

    # --- connections ---

    async def addresses(self) -> Sequence[AddrInfoType]:
        """Where the host is: looked up once a visit, so that a name cannot change between the check and the use."""
        if not self._addresses:
            self._addresses = await resolve(self.config.host, self.config.port)
            shown = sorted({str(info[4][0]) for info in self._addresses})
            self.step(
                "resolved", f"{self.config.host} = {', '.join(shown)}" if shown != [self.config.host] else shown[0]
            )
        return self._addresses

    async def connect(self, *, port: int | None = None) -> socket.socket:
        """A connected non-blocking socket, made where the guard looks; raises the last address's error."""
        loop = asyncio.get_running_loop()
        failure: OSError = ResolveError(self.config.host, ours=False)
        began = time.perf_counter()
        for info in await self.addresses():
            sock = None
            try:
                sock = self.guard.socket(info, allow_internal=self.job.allow_internal)
                sock.setblocking(False)
                address = (info[4][0], port or info[4][1], *info[4][2:])
                await loop.sock_connect(sock, address)
            except BaseException as error:
                if sock is not None:
                    sock.close()
                if not isinstance(error, OSError) or isinstance(error, TimeoutError):
                    raise
                failure = error
                continue
            took = (time.perf_counter() - began) * 1000
            self.step("connected", f"{address[0]}:{address[1]} {took:.1f} ms")
            return sock
        raise failure

    def tls(self) -> ssl.SSLContext | None:
        """The TLS settings of the target, if it has TLS."""
        if not self.config.tls:
            return None
        context = ssl.create_default_context()
        if not self.config.verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    @contextlib.asynccontextmanager
    async def stream(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection as a stream, for protocols of lines."""
        sock = await self.connect()
        name = self.config.host if self.config.tls else None
        reader, writer = await asyncio.open_connection(sock=sock, ssl=self.tls(), server_hostname=name, limit=MAX_BYTES)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def blocking(self, talk: Callable[[socket.socket], T]) -> T:
        """Run a blocking client over a connected socket in a thread. When time is up, the socket is closed under it."""
        sock = await self.connect()
        sock.setblocking(True)
        sock.settimeout(self.config.timeout_s)
        try:
            return await asyncio.to_thread(talk, sock)
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    @contextlib.asynccontextmanager
    async def http(self, *, headers: Mapping[str, str] | None = None) -> AsyncIterator[Http]:
        """An HTTP client for this server: the looked-up addresses only, no redirects, no proxies, no cookies."""

        def make(info: AddrInfoType) -> socket.socket:
            return self.guard.socket(info, allow_internal=self.job.allow_internal)

        connector = aiohttp.TCPConnector(
            resolver=_Known(await self.addresses()), use_dns_cache=False, socket_factory=make, limit=4
        )
        signed = {"Authorization": _basic(self.config.user, self.password)} if self.config.user else {}
        async with aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": USER_AGENT, **signed, **(headers or {})},
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            yield Http(self, session)


@dataclass(slots=True)
class Http:
    """Requests to the visited server. Every answer but a good one becomes :class:`CannotReadError`."""

    visit: Visit
    session: aiohttp.ClientSession

    async def get(self, path: str, *, takes: frozenset[int] = frozenset({200})) -> str:
        return (await self.ask("GET", path, takes=takes))[1]

    async def ask(
        self, method: str, path: str, *, json: object = None, takes: frozenset[int] = frozenset({200})
    ) -> tuple[int, str]:
        """Status and text of an answer whose status is among ``takes``."""
        config = self.visit.config
        host = f"[{config.host}]" if ":" in config.host else config.host
        url = f"{'https' if config.tls else 'http'}://{host}:{config.port}{path}"
        async with self.session.request(
            method, url, json=json, allow_redirects=False, ssl=config.verify_tls
        ) as response:
            text = f"HTTP {response.status} {path}"
            if response.status not in takes:
                raise CannotReadError(_refusal(response.status), _moved(response, text))
            self.visit.step("http", text)
            return response.status, await _text(response)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _refusal(status: int) -> str:
    if status in (301, 302, 303, 307, 308):
        return "wrong_page"
    return {401: "sign_in", 403: "forbidden", 404: "path_missing"}.get(status, "server_error")


def _moved(response: aiohttp.ClientResponse, text: str) -> str:
    there = response.headers.get("Location", "")
    return f"{text} → {there[:200]}" if there else text


async def _text(response: aiohttp.ClientResponse) -> str:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(CHUNK):
        size += len(part)
        if size > MAX_BYTES:
            raise CannotReadError("too_large", f"{MAX_BYTES // 2**20} MiB")
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


class _Known(AbstractResolver):
    """Answers with what was looked up before, whatever is asked."""

    def __init__(self, addresses: Sequence[AddrInfoType]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(info[4][0]),
                port=port,
                family=info[0],
                proto=info[2],
                flags=socket.AI_NUMERICHOST,
            )
            for info in self._addresses
        ]

    async def close(self) -> None:
        return


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``10.11.19-MariaDB`` is (10, 11, 19)."""
    found: list[int] = []
    for part in version.strip().lstrip("vV").split("."):
        digits = ""
        for letter in part:
            if not letter.isdigit():
                break
            digits += letter
        if not digits:
            break
        found.append(int(digits))
        if len(digits) < len(part):
            break
    return tuple(found)


def share(part: float, whole: float) -> float:
    """Percent; NaN, which no figure may be, when there is no whole."""
    return part / whole * 100 if whole > 0 else float("nan")
