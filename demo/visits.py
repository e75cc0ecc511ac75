"""What an engineer did on the first day: real sessions through the platform's own node, so that the pages show some."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncssh

from rdmp.installation import write_private

KEY, DONE = "engineer_key", "visited"
FIRST_TRY_S, TRIES, BETWEEN_S = 15.0, 40, 5.0
"""After the rush of the first start; then as long as a slow machine may need."""
TYPING_S: Final = (0.03, 0.11)
THINKING_S: Final = (0.6, 1.6)
WORK: Final = "RDMP_WORK"
CHECKED: Final = (
    "uptime",
    "df -h / /tmp",
    "ls -la logs conf",
    "tail -n 5 logs/access.log",
    "grep -c ' 502 ' logs/access.log",
    "cat conf/mall.conf",
    "exit",
)
CLEANED: Final = ("free -m", "du -sh logs", "find logs -name '*.log' -size +1k", "date", "exit")
NEW_CONFIGURATION: Final = "upstream mall { server 172.16.1.21:8080; }\nproxy_read_timeout 60s;\n"


@dataclass(frozen=True)
class Plan:
    """By which key, to which port; `is_done` is called when all of it has been done."""

    login: str
    key: str
    port: int
    done: Callable[[], None]


def write_key(place: Path, login: str, private: str) -> None:
    write_private(place / KEY, f"{login}\n{private}")


def read(place: Path) -> Plan | None:
    """None when it has been done. Raises OSError. What must be written later is opened now, while that is allowed."""
    if (place / DONE).exists() and (place / DONE).read_text(encoding="utf-8"):
        return None
    login, _, private = (place / KEY).read_text(encoding="utf-8").partition("\n")
    mark = (place / DONE).open("w", encoding="utf-8")

    def done() -> None:
        with mark:
            mark.write("done\n")

    return Plan(login, private, int(os.environ["RDMP_SSH_PORT"]), done)


async def make(plan: Plan) -> None:
    """Gives up after some minutes: without a node there is nothing to go through."""
    await asyncio.sleep(FIRST_TRY_S)
    why = ""
    for _ in range(TRIES):
        try:
            await _sit_down(plan, "mall-web-01", CHECKED, "客户反馈商品页偶发 502，查看日志")
            await _bring(plan, "mall-web-02")
            await _sit_down(plan, "mall-job-01", CLEANED, "例行巡检：内存与日志目录")
        except (OSError, asyncssh.Error) as problem:
            why = f"{type(problem).__name__} {problem}"
            await asyncio.sleep(BETWEEN_S)
        else:
            plan.done()
            return
    print(f"The demo's engineer does not get through the bastion: {why}", file=sys.stderr)


@asynccontextmanager
async def _connect(plan: Plan, login: str) -> AsyncIterator[asyncssh.SSHClientConnection]:
    async with asyncssh.connect(
        "127.0.0.1",
        plan.port,
        username=login,
        client_keys=[asyncssh.import_private_key(plan.key)],
        known_hosts=None,
        agent_path=None,
        config=None,
    ) as connection:
        yield connection


async def _sit_down(plan: Plan, server: str, lines: tuple[str, ...], work: str) -> None:
    """At a terminal, typing as people do."""
    async with _connect(plan, f"{plan.login}#{server}") as connection:
        process = await connection.create_process(term_type="xterm-256color", term_size=(110, 30), env={WORK: work})
        reading = asyncio.ensure_future(process.stdout.read())
        for line in lines:
            await asyncio.sleep(random.uniform(*THINKING_S))  # noqa: S311 - a person's pauses
            for letter in line:
                process.stdin.write(letter)
                await asyncio.sleep(random.uniform(*TYPING_S))  # noqa: S311 - a person's pauses
            process.stdin.write("\r")
        await asyncio.wait_for(reading, 30)


async def _bring(plan: Plan, server: str) -> None:
    """A new configuration file, and the command that looks at it."""
    login = f"{plan.login}#{server}"
    env = {WORK: "调整商品页读超时"}
    async with (
        _connect(plan, login) as connection,
        connection.start_sftp_client(env=env) as sftp,
        sftp.open("conf/mall.conf", "w") as file,
    ):
        await file.write(NEW_CONFIGURATION)
    async with _connect(plan, login) as connection:
        await connection.run("grep -n proxy_read_timeout conf/mall.conf", env=env, check=True)
