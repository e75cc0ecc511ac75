"""The text menu: find, choose, say what one works on, and come back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import asyncssh
import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.gateway.contract import Language, Person, Resource
from bastion.gateway.ssh import console
from bastion.gateway.ssh.channel import Channel
from bastion.gateway.ssh.console import fit, width
from bastion.gateway.ssh.menu import ordered
from bastion.gateway.ssh.pressure import Valve
from tests.bastion.memory_portal import Grant, resource
from tests.bastion.targets import Bench, KeyTarget, bench, needs_terminal


@pytest.fixture
async def b(tmp_path: Path, target: KeyTarget, keys: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, [target.hop()], keys=keys) as made:
        made.portal.grants = [Grant(resource(n, f"web-{n:02d}"), (target.hop(),)) for n in range(1, 41)]
        made.portal.grants.append(Grant(resource(50, "数据库主节点", group="核心业务系统", is_favourite=True), ()))
        made.portal.grants.append(
            Grant(resource(51, "db-used", accounts=("trops", "www"), used_at=5.0), (target.hop(),))
        )
        yield made


class Menu:
    def __init__(self, process: asyncssh.SSHClientProcess[str]) -> None:
        self.process = process

    @classmethod
    async def open(cls, conn: asyncssh.SSHClientConnection) -> "Menu":
        return cls(await conn.create_process(term_type="xterm", term_size=(80, 24)))

    async def says(self, typed: str, until: str = "\n> ") -> str:
        self.process.stdin.write(typed)
        return await asyncio.wait_for(self.process.stdout.readuntil(until), 5)


async def test_it_fits_a_small_terminal_and_favourites_come_first(b: Bench) -> None:
    async with b.connect("chen") as conn:
        shown = await (await Menu.open(conn)).says("")
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed(shown)
    lines = [line.rstrip() for line in screen.display]
    assert "RDMP bastion - chen" in lines[1]
    assert lines[3].startswith("   1 *")
    assert "db-used" in lines[4]
    assert "web-01" in lines[5]
    assert lines[screen.cursor.y].startswith(">")
    assert max(width(line) for line in shown.split("\r\n")) < 80


async def test_whoever_takes_nothing_is_shown_no_more(b: Bench) -> None:
    asked: list[str] = []
    resources = b.portal.resources

    async def counted(person: Person, query: str, limit: int) -> Sequence[Resource]:
        asked.append(query)
        return await resources(person, query, limit)

    b.portal.resources = counted  # type: ignore[method-assign]
    async with b.connect("chen") as conn:
        menu = Menu(await conn.create_process(term_type="xterm", term_size=(80, 24), window=2000))
        menu.process.channel.pause_reading()
        for _ in range(20):
            menu.process.stdin.write("\r" * 50)
            await asyncio.sleep(0.05)
        assert len(asked) < 200  # 64 KB of the menu; each of a thousand lines was answered
        menu.process.channel.resume_reading()
        while len(asked) <= 1000:
            assert await asyncio.wait_for(menu.process.stdout.read(65536), 5)


def test_a_session_that_begins_while_the_client_takes_nothing_is_held() -> None:
    held: list[bool] = []

    class Sinking:
        output_valve = Valve(held.append)

        def input(self, data: bytes) -> None:
            """It takes all."""

        def end_input(self) -> None:
            """It takes that too."""

    channel = Channel(None, lambda: None)  # type: ignore[arg-type]
    channel.pause_writing()
    channel._feed(Sinking())
    channel._sink = Sinking()
    channel.resume_writing()
    assert held == [True, False]


def test_a_terminal_is_as_large_as_one_can_be() -> None:
    channel = Channel(None, lambda: None)  # type: ignore[arg-type]
    channel.pty_requested("xterm", (2**32 - 1, 2**32 - 1, 0, 0), {})
    assert channel._size() == (2000, 1000)
    channel.terminal_size_changed(2**32 - 1, 24, 0, 0)
    assert channel._size() == (2000, 24)


@needs_terminal
async def test_words_filter_and_a_number_connects_and_the_menu_comes_back(b: Bench) -> None:
    async with b.connect("chen") as conn:
        menu = await Menu.open(conn)
        await menu.says("")
        filtered = await menu.says("web-07\r")
        assert "web-08" not in filtered.partition("RDMP")[2]
        await menu.says("1\r", "Connecting to web-07")
        await menu.says("echo $((6*7))\r", "42\r\n")
        assert "web-07" in await menu.says("exit\r")
        await menu.says("q\r", "Goodbye")
        assert (await menu.process.wait()).exit_status == 0
    assert [wish.resource for wish in b.portal.wishes] == ["#7"]
    assert b.portal.told("ended")[0]["reason"] == "exit"


async def test_pages_and_wrong_numbers(b: Bench) -> None:
    async with b.connect("chen") as conn:
        menu = await Menu.open(conn)
        assert "Page 1/3, 42 in all" in await menu.says("")
        assert "Page 2/3" in await menu.says("n\r")
        assert "There is no such number" in await menu.says("99\r")
        assert "No resource matches" in await menu.says("nothing like it\r")


async def test_one_of_several_accounts_is_chosen(b: Bench) -> None:
    async with b.connect("chen") as conn:
        menu = await Menu.open(conn)
        await menu.says("")
        await menu.says("2\r", "Choose the number of an account: ")
        await menu.says("2\r", "Connecting to db-used")
        await menu.says("exit\r")
    assert [(wish.resource, wish.account) for wish in b.portal.wishes] == [("#51", "www")]


@pytest.mark.parametrize(("typed", "work"), [("2\r", "CHG-000007"), ("Customer called\r", "Customer called")])
async def test_work_is_asked_for(b: Bench, typed: str, work: str) -> None:
    b.portal.change("web-01", needs_work=True)
    async with b.connect("chen") as conn:
        menu = await Menu.open(conn)
        await menu.says("")
        assert "INC-000123  Disk full" in await menu.says("3\r", "type a ticket or a reason: ")
        await menu.says(typed, "Connecting to web-01")
        await menu.says("exit\r")
    assert b.portal.wishes[-1].work == work


async def test_a_target_that_fails_leads_back_to_the_menu(b: Bench) -> None:
    b.portal.change("db-used", hops=(), actions=frozenset())
    async with b.connect("chen") as conn:
        menu = await Menu.open(conn)
        await menu.says("")
        await menu.says("2\r", "account: ")
        assert "revoked" in await menu.says("1\r")


async def test_it_speaks_chinese(b: Bench) -> None:
    keys = b.portal.people["chen"].keys
    b.portal.enter("chen", language=Language.ZH, keys=keys)
    async with b.connect("chen") as conn:
        menu = await Menu.open(conn)
        shown = await menu.says("")
        assert "RDMP 堡垒机 - chen" in shown
        assert max(width(line) for line in shown.split("\r\n")) < 80
        assert "数据库主节点" in await menu.says("数据库\r")
        await menu.says("数\x7f\x7f\x1b[Aq\r", "再见")


@needs_terminal
async def test_ambiguous_names_are_offered(b: Bench, target: KeyTarget) -> None:
    b.portal.grants = [Grant(resource(n, "twin"), (target.hop(),)) for n in (8, 9)]
    ran = await b.run("echo in", user="chen#twin")
    assert ran.status == 255
    assert "#8" in ran.err
    assert "#9" in ran.err
    async with b.connect("chen#twin") as conn:
        menu = await Menu.open(conn)
        await menu.says("")
        await menu.says("2\r", "# " if target.user == "root" else "$ ")
    assert b.portal.wishes[-1].resource == "#9"


async def test_leaving_at_any_question_leaves(b: Bench) -> None:
    b.portal.change("web-01", needs_work=True)
    async with b.connect("chen#web-01") as conn:
        menu = await Menu.open(conn)
        await menu.says("", "reason: ")
        menu.process.stdin.write("\x03")
        assert (await menu.process.wait()).exit_status == 255
    assert b.portal.facts == []


def test_the_order_of_the_menu() -> None:
    names = [
        resource(1, "b"),
        resource(2, "a"),
        resource(3, "old", used_at=1.0),
        resource(4, "new", used_at=2.0),
        resource(5, "star", is_favourite=True),
    ]
    assert [one.name for one in ordered(names)] == ["star", "new", "old", "a", "b"]


@given(st.text(st.characters(exclude_categories=("M", "Cs")), max_size=30), st.integers(1, 40))
def test_text_fits_its_columns(text: str, columns: int) -> None:
    assert width(fit(text, columns)) == columns
    assert "\x1b" not in fit(text, columns)


@pytest.mark.parametrize("typed", ["", "we", "1\r"])
async def test_a_menu_that_nobody_uses_is_left(b: Bench, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """Whether it asks for a resource or for the work."""
    b.portal.change("web-01", needs_work=True)
    b.portal.grants = b.portal.grants[:1]
    monkeypatch.setattr(console, "IDLE_S", 0.5)
    async with b.connect("chen") as conn, conn.create_process(term_type="xterm", encoding="utf-8") as process:
        await asyncio.wait_for(process.stdout.readuntil("> "), 5)
        process.stdin.write(typed)
        assert "nobody used it" in await asyncio.wait_for(process.stdout.read(), 5)


async def test_whoever_types_is_not_idle(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "IDLE_S", 0.5)
    async with b.connect("chen") as conn, conn.create_process(term_type="xterm", encoding="utf-8") as process:
        for char in "abcdefgh":
            process.stdin.write(char)
            await asyncio.sleep(0.15)
        process.stdin.write("\x15q\r")
        assert "Goodbye" in await asyncio.wait_for(process.stdout.read(), 5)
