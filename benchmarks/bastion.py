"""What the bastion costs those who go through it: JSON lines, one per figure.

    python -m benchmarks.bastion [--only bulk,stream,small,opens,long,setup,sftp,echo,idle] [--rounds 3]
        [--megabytes 200] [--recorded 1000] [--hours 8] [--connections 40] [--sessions 200] [--idle 500]

It starts a PostgreSQL, a Redis, a portal, a node, a target's sshd and a jump host's of its own, all on this machine,
and measures the ways by turns, so that what else the machine does meets all of them. Ratios are of throughput or rate,
the way through the node over the other one: higher is better, 1 is as fast. Before each of them the portal has taken
what was recorded before.

* bulk: output of a command as text, against `ssh -J`, in a terminal: all of it is recorded;
* stream: the same without a terminal, of which the recording keeps the beginning (`bastion.gateway.ssh.relay`);
* small: a few megabytes of it, all recorded, the connection made for them included;
* setup: connections made, authorised, recorded and ended (`ssh … true`), four at a time, against the target directly:
  by the same key exchange, and by what client and server agree on when nobody says anything;
* sftp: a file up and down, listed with its SHA-256 by the node, against the target directly;
* echo: how much later a typed character comes back than from the target directly, while so many sessions are typed in;
* opens: from the click to the first piece of a recording of so many megabytes: page, index and piece, no network;
* long: the same of a recording of so many hours, in which something small happens every three seconds;
* idle: what the node program holds in memory with so many idle sessions.
"""

from __future__ import annotations

from benchmarks import _platform  # noqa: F401 - first: it starts the database and sets Django up

# isort: split

import argparse
import asyncio
import base64
import contextlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import asyncssh
import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils import timezone

from accounts import scope
from accounts.models import Role, User
from assets.models import Asset
from bastion.gateway.recording import chain
from bastion.gateway.recording.cast import Header
from bastion.gateway.recording.writer import Recorder
from bastion.models import BastionSession, Node, RecordingPiece
from bastion.services import recordings
from benchmarks._crowd import signed_in
from benchmarks._door import PEOPLE, SAME_KEX, WORK, Door, door, login

Figures = Iterator[tuple[str, float, str]]
LINE = "2026-11-30 12:00:00 web-01 nginx[1234]: 192.0.2.7 GET /orders/{at:08d} 200 0.012 Mozilla/5.0 (X11; Linux)\n"
SMALL_MB = 5
AT_ONCE = 8
TYPED_EVERY_S = 2.0


def bulk(asked: argparse.Namespace, there: Door) -> Figures:
    yield "bastion.bulk_vs_proxyjump", _output(asked.rounds, asked.megabytes, there, ("-tt",)), "ratio"


def stream(asked: argparse.Namespace, there: Door) -> Figures:
    yield "bastion.stream_vs_proxyjump", _output(asked.rounds, asked.megabytes, there, ()), "ratio"


def small(asked: argparse.Namespace, there: Door) -> Figures:
    yield "bastion.small_stream_vs_proxyjump", _output(asked.rounds, SMALL_MB, there, ()), "ratio"


def _output(rounds: int, megabytes: int, there: Door, options: tuple[str, ...]) -> float:
    file = there.place / f"text-{megabytes}"
    if not file.exists():
        lines = "".join(LINE.format(at=at) for at in range(10_000))
        with file.open("w") as text:
            for _ in range(max(1, megabytes * 1_000_000 // len(lines))):
                text.write(lines)

    def read(way: str) -> None:
        command = there.ssh(way, f"cat {file}", options=options)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        if len(done.stdout) < file.stat().st_size:
            raise SystemExit(f"{way}: {len(done.stdout)} bytes of {file.stat().st_size} came")

    return _ratio(rounds, read, "jumped", there)


def opens(asked: argparse.Namespace, there: Door) -> Figures:
    """One recording made in a terminal, then opened by somebody who may, ten times."""
    line = LINE.format(at=0)
    count = asked.recorded * 1_000_000 // len(line)
    command = there.ssh("through", f"yes '{line.strip()}' | head -n {count}", options=("-tt",))
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    deadline = time.monotonic() + 600
    with scope.platform("benchmark"):
        session = BastionSession.objects.latest("allowed_at")
        while not RecordingPiece.objects.filter(session=session, link__is_last=True).exists():
            if time.monotonic() > deadline:
                raise SystemExit("the recording did not arrive")
            time.sleep(0.5)
        size = sum(RecordingPiece.objects.filter(session=session).values_list("plain_bytes", flat=True))
    yield "bastion.recorded_bytes", size, "bytes"
    yield "bastion.opens_s", _opened(session), "s"


def long(asked: argparse.Namespace, there: Door) -> Figures:
    """Recorded by the node's own recorder, whose clock runs ahead, and taken as the portal takes pieces."""
    key, directory, clock, now = Ed25519PrivateKey.generate(), there.place / "long", _Clock(), timezone.now()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    with scope.platform("benchmark"):
        node = Node.objects.create(
            name="long", state=Node.State.ENROLLED, public_key=public, created_at=now, enrolled_at=now
        )
        asset, person = Asset.objects.get(name="web-01"), User.objects.get(email=login(0))
        session = BastionSession.objects.create(
            customer_id=asset.customer_id, node=node, person=person, asset=asset, account="trops", protocol="ssh",
            front="ssh", client_address="127.0.0.1", state=BastionSession.State.OPEN, allowed_at=now, opened_at=now,
        )  # fmt: skip
        header = Header(80, 24, time.time(), str(session.uid), "web-01", "trops", "Chen", "")
        recorder = Recorder.open(directory, header, key, clock=clock)
        for at in range(asked.hours * 1200):
            recorder.input(b"x")
            recorder.output(LINE.format(at=at).encode())
            clock.now += 3
        recorder.close()
        for number in sorted(chain.numbers(directory)):
            link, data = (directory / chain.link_name(number)), (directory / chain.piece_name(number))
            recordings.take(node=node, link=link.read_bytes(), data=data.read_bytes(), now=now)
        pieces = RecordingPiece.objects.filter(session=session).count()
    yield "bastion.opens_long_pieces", pieces, "pieces"
    yield "bastion.opens_long_s", _opened(session), "s"


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _opened(session: BastionSession) -> float:
    """From the click to the first piece, the slowest of ten times."""
    with scope.platform("benchmark"):
        lin, _is_new = User.objects.get_or_create(email="lin@example.com", defaults={"name": "Lin", "role": Role.ADMIN})
        browser = signed_in(lin)
    base, times = f"/bastion/sessions/{session.pk}/recording/", []
    browser.get(base)  # the first page of a process is compiled: that is no matter of what it shows
    for _ in range(10):
        began = time.perf_counter()
        page = browser.get(base)
        token = page.content.decode().partition('data-token="')[2].partition('"')[0]
        index = browser.get(f"{base}index/", headers={"X-Viewing": token})
        piece = browser.get(f"{base}1/", headers={"X-Viewing": token})
        codes = (page.status_code, index.status_code, piece.status_code)
        assert codes == (200, 200, 200), codes
        assert piece.getvalue()
        times.append(time.perf_counter() - began)
    return max(times)


def setup(asked: argparse.Namespace, there: Door) -> Figures:
    def connect(*kex: str) -> Callable[[str], None]:
        def many(way: str) -> None:
            command = there.ssh(way, "true", kex=kex)
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _number: subprocess.run(command, stdin=subprocess.DEVNULL, check=True), one_each))

        return many

    one_each = range(asked.connections)
    yield "bastion.setup_vs_direct", _ratio(asked.rounds, connect(SAME_KEX), "direct", there), "ratio"
    yield "bastion.setup_vs_direct_own_kex", _ratio(asked.rounds, connect(), "direct", there), "ratio"


def sftp(asked: argparse.Namespace, there: Door) -> Figures:
    big, back = there.place / "big", there.place / "back"
    if not big.exists():
        with big.open("wb") as file:
            for _ in range(asked.megabytes):
                file.write(os.urandom(1_000_000))

    def copy(commands: Callable[[str], str]) -> Callable[[str], None]:
        def run(way: str) -> None:
            command = [
                "sftp",
                *there.options(way),
                "-b",
                "-",
                "-P",
                str(there.port(way)),
                f"{there.user(way)}@127.0.0.1",
            ]
            given = commands(way).encode()
            subprocess.run(command, input=given, stdout=subprocess.DEVNULL, check=True)

        return run

    up = copy(lambda way: f"put {big} {there.place}/up-{way}\n")
    down = copy(lambda way: f"get {big} {back}-{way}\n")
    yield "bastion.sftp_up_vs_direct", _ratio(asked.rounds, up, "direct", there), "ratio"
    yield "bastion.sftp_down_vs_direct", _ratio(asked.rounds, down, "direct", there), "ratio"


def echo(asked: argparse.Namespace, there: Door) -> Figures:
    direct, through = asyncio.run(_echoes(asked, there))
    yield "bastion.echo_direct_p99_s", _percentile(direct, 99), "s"
    yield "bastion.echo_through_p50_s", _percentile(through, 50), "s"
    yield "bastion.echo_added_p99_s", max(0.0, _percentile(through, 99) - _percentile(direct, 99)), "s"


async def _echoes(asked: argparse.Namespace, there: Door) -> tuple[list[float], list[float]]:
    """Seconds of each echo, directly and through the node, by turns; meanwhile others type every two seconds."""
    near, far = _session(there, "direct"), _session(there, "through")
    async with _sessions(there, asked.sessions) as others, near as directly, far as by_node:
        typing = asyncio.ensure_future(_type_on(others))
        direct, through = [], []
        for _ in range(500):
            direct.append(await _echo(directly))
            through.append(await _echo(by_node))
            await asyncio.sleep(0.02)
        typing.cancel()
    return direct, through


async def _type_on(sessions: list[asyncssh.SSHClientProcess[bytes]]) -> None:
    while True:
        for session in sessions:
            session.stdin.write(b"x")
            await asyncio.sleep(TYPED_EVERY_S / len(sessions))
            await _comes_back(session, b"x")


async def _echo(session: asyncssh.SSHClientProcess[bytes]) -> float:
    began = time.perf_counter()
    session.stdin.write(b"x")
    await _comes_back(session, b"x")
    return time.perf_counter() - began


async def _comes_back(session: asyncssh.SSHClientProcess[bytes], typed: bytes) -> None:
    """Whoever is refused is told why in the same place."""
    if (shown := await session.stdout.read(100)) != typed:
        raise SystemExit(f"not {typed!r} came back but {shown!r}")


def idle(asked: argparse.Namespace, there: Door) -> Figures:
    node = psutil.Process(there.node_pid)

    async def hold() -> int:
        async with _sessions(there, asked.idle):
            await asyncio.sleep(15)
            return int(node.memory_full_info().pss)

    yield "bastion.idle500_bytes", asyncio.run(hold()), "bytes"


@contextlib.asynccontextmanager
async def _session(there: Door, way: str, person: int = 0) -> AsyncIterator[asyncssh.SSHClientProcess[bytes]]:
    """`cat` in a terminal that echoes: on a connection of its own."""
    async with asyncssh.connect(
        "127.0.0.1", there.port(way), username=there.user(way, person), client_keys=[str(there.key(way, person))],
        known_hosts=None, config=None, agent_path=None, preferred_auth="publickey",
    ) as connection:  # fmt: skip
        name, _, value = WORK.removeprefix("SetEnv=").partition("=")
        async with connection.create_process(
            "cat", term_type="xterm", term_size=(80, 24), encoding=None, env={name: value.strip('"')}
        ) as process:
            process.stdin.write(b"y")
            await _comes_back(process, b"y")
            yield process


@contextlib.asynccontextmanager
async def _sessions(there: Door, count: int) -> AsyncIterator[list[asyncssh.SSHClientProcess[bytes]]]:
    async with contextlib.AsyncExitStack() as stack:
        opened: list[asyncssh.SSHClientProcess[bytes]] = []
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, count))
            contexts = [_session(there, "through", number % PEOPLE) for number in numbers]
            opened += await asyncio.gather(*(stack.enter_async_context(one) for one in contexts))
        yield opened


def _ratio(rounds: int, act: Callable[[str], None], other: str, there: Door) -> float:
    """How many times as fast the way through the node is; the median of rounds by turns, after one to warm up."""
    took: dict[str, list[float]] = {"through": [], other: []}
    for number in range(rounds + 1):
        for way, seconds in took.items():
            there.settle()
            began = time.perf_counter()
            act(way)
            if number:
                seconds.append(time.perf_counter() - began)
    return statistics.median(took[other]) / statistics.median(took["through"])


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


MEASURED: dict[str, Callable[[argparse.Namespace, Door], Figures]] = {
    "bulk": bulk,
    "stream": stream,
    "small": small,
    "opens": opens,
    "long": long,
    "setup": setup,
    "sftp": sftp,
    "echo": echo,
    "idle": idle,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(MEASURED))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--recorded", type=int, default=1000, help="megabytes")
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument("--connections", type=int, default=40)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--idle", type=int, default=500)
    asked = parser.parse_args()
    with door() as there:
        for name in asked.only.split(","):
            for metric, value, unit in MEASURED[name](asked, there):
                print(json.dumps({"name": metric, "value": round(value, 4), "unit": unit}), flush=True)


if __name__ == "__main__":
    main()
