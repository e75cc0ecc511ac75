"""Whether a certificate is good and for how long: read first by a handshake that verifies, then, when that fails, by
one that trusts anybody, so that also of a bad certificate people see what it is.

Result codes: 0 good, 1 timed out, 2 refused, 3 expired, 4 for another name, 5 name not resolved, 6 not trusted
(self-signed or an incomplete chain), 7 other, 8 not valid yet.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from monitoring.collectors import Job, Outcome, Problem, Step, labels_text
from monitoring.collectors.config.names import TlsConfig
from monitoring.collectors.network import Guard, connect, explain, tls_context

AT_ONCE: Final = 100
DAY_S: Final = 86_400.0
GOOD, TIMED_OUT, REFUSED, EXPIRED, OTHER_NAME, NOT_RESOLVED, NOT_TRUSTED, OTHER, NOT_YET = range(9)
CODES: Final = {"timeout": TIMED_OUT, "refused": REFUSED, "reset": REFUSED, "dns": NOT_RESOLVED}
# X509_V_ERR_… of OpenSSL (x509_vfy.h)
VERDICTS: Final = {9: NOT_YET, 10: EXPIRED, 18: NOT_TRUSTED, 19: NOT_TRUSTED, 20: NOT_TRUSTED, 21: NOT_TRUSTED,
                   62: OTHER_NAME, 64: OTHER_NAME}  # fmt: skip
LINE: Final = 2048


@dataclass(frozen=True, slots=True)
class Certificate:
    """What people want to know of one."""

    subject: str
    issuer: str
    begins: float
    ends: float
    names: tuple[str, ...]
    fingerprint: str
    is_self_signed: bool


async def collect(jobs: Sequence[Job[TlsConfig]], *, guard: Guard) -> list[Outcome]:
    """Read all certificates, overlapping."""
    places = asyncio.Semaphore(AT_ONCE)
    return list(await asyncio.gather(*(_one(job, guard, places) for job in jobs)))


async def _one(job: Job[TlsConfig], guard: Guard, places: asyncio.Semaphore) -> Outcome:
    outcome = Outcome(job.target_id)
    async with places:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(job.config.timeout_s):
                code, detail, chain = await _read(job, guard)
        except (OSError, ValueError) as error:
            failure = explain(error)
            if failure.ours:
                outcome.problem = Problem(failure.code, failure.detail)
            else:
                _tell(job, CODES.get(failure.code, OTHER), failure.detail or failure.code, (), outcome)
        else:
            _tell(job, code, detail, chain, outcome)
        outcome.took_ms = (time.perf_counter() - began) * 1000
    return outcome


def _tell(job: Job[TlsConfig], code: int, detail: str, chain: Sequence[Certificate], outcome: Outcome) -> None:
    now = time.time()
    at = round(now * 1000)
    config = job.config
    labels = labels_text({"name": config.server_name or config.host, "port": str(config.port)})
    outcome.add(job, "tls.result_code", at, code, labels)
    outcome.steps.append(Step("tls_verdict", detail, ok=code == GOOD))
    if chain:
        ends = min(one.ends for one in chain)
        outcome.add(job, "probe.tls.days_left", at, (ends - now) / DAY_S, labels)
        outcome.steps.append(Step("certificate", f"{(ends - now) / DAY_S:.1f}", ok=ends > now))
    for one in chain:
        outcome.steps.append(Step("chain", f"{one.subject} ← {one.issuer}", ok=one.ends > now))
    outcome.state = {"code": code, "detail": detail, "chain": [_as_json(one) for one in chain]}


def _as_json(one: Certificate) -> dict[str, Any]:
    return {
        "subject": one.subject,
        "issuer": one.issuer,
        "begins": one.begins,
        "ends": one.ends,
        "names": list(one.names)[:20],
        "fingerprint": one.fingerprint,
        "self_signed": one.is_self_signed,
    }


async def _read(job: Job[TlsConfig], guard: Guard) -> tuple[int, str, list[Certificate]]:
    try:
        return GOOD, "", await _handshake(job, guard, verify=True)
    except ssl.SSLCertVerificationError as error:
        chain = await _handshake(job, guard, verify=False)
        return VERDICTS.get(error.verify_code, OTHER), str(error.verify_message or error.reason), chain


async def _handshake(job: Job[TlsConfig], guard: Guard, *, verify: bool) -> list[Certificate]:
    config = job.config
    sock, _ = await connect(config.host, config.port, guard=guard, allow_internal=job.allow_internal)
    try:
        if config.starttls:
            await _ask_for_tls(sock, config.starttls)
        name = (config.server_name or config.host).rstrip(".")
        _, writer = await asyncio.open_connection(sock=sock, ssl=tls_context(verify=verify), server_hostname=name)
    except BaseException:
        sock.close()
        raise
    try:
        return _chain(writer.get_extra_info("ssl_object"))
    finally:
        writer.transport.abort()


async def _ask_for_tls(sock: socket.socket, protocol: str) -> None:
    """The few lines before the handshake (RFC 3207, RFC 2595). Read from the socket byte by byte's worth: nothing of
    the handshake may be taken."""
    if protocol == "smtp":
        await _until(sock, b"220")
        await _say(sock, b"EHLO rdmp-probe\r\n", b"250")
        await _say(sock, b"STARTTLS\r\n", b"220")
    elif protocol == "imap":
        await _until(sock, b"* OK")
        await _say(sock, b"a STARTTLS\r\n", b"a OK")
    else:
        await _until(sock, b"+OK")
        await _say(sock, b"STLS\r\n", b"+OK")


async def _say(sock: socket.socket, line: bytes, wanted: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(sock, line)
    await _until(sock, wanted)


async def _until(sock: socket.socket, wanted: bytes) -> None:
    """Read the answer to its last line. Raises ValueError when it is another one."""
    loop = asyncio.get_running_loop()
    seen = b""
    while len(seen) < LINE:
        part = await loop.sock_recv(sock, LINE)
        if not part:
            raise ConnectionResetError
        seen += part
        last = seen.rstrip(b"\r\n").rpartition(b"\n")[2]
        if seen.endswith(b"\n") and last[3:4] != b"-":
            if not last.startswith(wanted):
                raise ValueError(f"starttls: {last[:80].decode('ascii', 'replace')}")
            return
    raise ValueError("starttls: too much")


def _chain(connection: ssl.SSLObject) -> list[Certificate]:
    """The certificates as the server sent them, its own first."""
    inner = getattr(connection, "_sslobj", None)  # public only from Python 3.13 on: SSLObject.get_unverified_chain
    sent = inner.get_unverified_chain() if inner is not None else None
    ders = [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in sent or ()]
    if not ders and (own := connection.getpeercert(binary_form=True)):
        ders = [own]
    return [_certificate(der) for der in ders]


def _certificate(der: bytes) -> Certificate:
    found = x509.load_der_x509_certificate(der)
    try:
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = (*extension.get_values_for_type(x509.DNSName), *map(str, extension.get_values_for_type(x509.IPAddress)))
    except x509.ExtensionNotFound:
        names = ()
    return Certificate(
        found.subject.rfc4514_string(),
        found.issuer.rfc4514_string(),
        found.not_valid_before_utc.astimezone(UTC).timestamp(),
        found.not_valid_after_utc.astimezone(UTC).timestamp(),
        names,
        found.fingerprint(hashes.SHA256()).hex(),
        found.subject == found.issuer,
    )
