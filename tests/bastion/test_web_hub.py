"""A session at browsers, without portal and network: messages in any cuts, pastes, slow guests, absent owners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.gateway.contract import (
    Action,
    Client,
    CommandRule,
    Judged,
    Language,
    Person,
    Refused,
    Verdict,
    WebGuest,
    WebReturn,
    WebTerminal,
)
from bastion.gateway.streams import Frame, Stream, StreamClosed
from bastion.gateway.web import desk, hub, messages
from bastion.gateway.web.desk import Desk
from bastion.gateway.web.messages import EVENT, INPUT, LONGEST, OUTPUT, BadMessage, Messages
from bastion.gateway.web.pasting import Pasting
from tests.bastion.memory_portal import EVERYTHING
from tests.bastion.targets import Bench, KeyTarget, bench, needs_terminal

HERE = Client("192.0.2.7", 50022, "Mozilla/5.0")


@given(st.lists(st.tuples(st.sampled_from([OUTPUT, INPUT, EVENT]), st.binary(max_size=300))), st.integers(1, 50))
def test_messages_are_the_same_in_any_cuts(said: list[tuple[bytes, bytes]], step: int) -> None:
    data = b"".join(messages.message(kind, payload) for kind, payload in said)
    cut = Messages()
    found = [one for at in range(0, len(data), step) for one in cut.feed(data[at : at + step])]
    assert found == said


@pytest.mark.parametrize("data", [b"x\0\0\0\1a", b"o\xff\xff\xff\xff", b"o" + (LONGEST + 1).to_bytes(4, "big")])
def test_what_is_no_message_is_found_out(data: bytes) -> None:
    with pytest.raises(BadMessage):
        Messages().feed(data)


@pytest.mark.parametrize("payload", [b"", b"[]", b"7", b"\xff", b"[" * 60_000])
def test_events_are_objects(payload: bytes) -> None:
    with pytest.raises(BadMessage):
        messages.said(payload)


@pytest.mark.parametrize(
    ("typed", "is_pasted"),
    [
        ([b"l", b"s", b"\r"], False),
        (["今天天气很好我们去看看服务器".encode()], False),
        ([b"\x1b[A"] * 30, False),
        ([b"\x1b[200~ls\x1b[201~"], True),
        ([b"\x1b[20", b"0~ls"], True),
        ([b"x" * 200], True),
        ([b"x" * 50] * 9, True),
    ],
)
def test_what_was_pasted_is_told_from_what_was_typed(typed: list[bytes], is_pasted: bool) -> None:
    pasting = Pasting(lambda: 0.0)
    assert any(pasting.is_pasted(data) for data in typed) is is_pasted


def test_typing_goes_on_for_as_long_as_one_likes() -> None:
    now = iter(range(10_000))
    pasting = Pasting(lambda: next(now) / 20)
    assert not any(pasting.is_pasted(b"\x1b[B") for _ in range(1000))


class Seat:
    """A browser's end of a stream, and what came by it."""

    def __init__(self) -> None:
        self.here = Stream("80" * 16, self._to_node)
        self.node = Stream("80" * 16, self._to_here)
        self.here.grant()
        self.node.grant()
        self.shown = b""
        self.events: list[dict[str, object]] = []
        self._cut = Messages()
        self.reading: asyncio.Task[None] | None = None

    async def _to_node(self, frame: Frame) -> None:
        self.node.take(frame)

    async def _to_here(self, frame: Frame) -> None:
        if frame.do != "opened":
            self.here.take(frame)

    def listen(self) -> Seat:
        self.reading = asyncio.ensure_future(self._listen())
        return self

    async def _listen(self) -> None:
        try:
            while data := await self.here.read():
                for kind, payload in self._cut.feed(data):
                    if kind == OUTPUT:
                        self.shown += payload
                    else:
                        self.events.append(dict(messages.said(payload)))
        except StreamClosed:
            return

    async def type(self, text: str) -> None:
        await self.here.write(messages.message(INPUT, text.encode()))

    async def until(self, is_so: Callable[[], bool], seconds: float = 20) -> None:
        for _ in range(round(seconds / 0.02)):
            if is_so():
                return
            await asyncio.sleep(0.02)
        raise AssertionError((self.events, self.shown[-500:]))

    async def sees(self, text: bytes) -> None:
        await self.until(lambda: text in self.shown)

    def event(self, kind: str) -> dict[str, object]:
        return next(one for one in self.events if one["event"] == kind)


class Office:
    """A desk before a real sshd; `chen` sits at it."""

    def __init__(self, b: Bench) -> None:
        self.b, self.desk = b, Desk(b.node)
        self.person = b.portal.people["chen"].person
        self._serving: list[asyncio.Task[None]] = []

    def _serve(self, work: Coroutine[None, None, None]) -> None:
        self._serving.append(asyncio.create_task(work))

    def open(self) -> Seat:
        seat = Seat().listen()
        self._serve(self.desk.terminal(WebTerminal(self.person, HERE, "web-01", "", "", 80, 24), seat.node))
        return seat

    def back(self, person: Person, session_id: str) -> Seat:
        seat = Seat().listen()
        self._serve(self.desk.back(WebReturn(person, session_id), seat.node))
        return seat

    def guest(self, session_id: str, *, may_type: bool = False, actions: frozenset[Action] = frozenset()) -> Seat:
        seat, dora = Seat(), Person(77, "dora", Language.EN, "t")
        self._serve(self.desk.guest(WebGuest(dora, session_id, may_type, actions), seat.node))
        return seat

    async def close(self) -> None:
        self.desk.close()
        await asyncio.sleep(0.05)
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


@pytest.fixture
async def office(tmp_path: Path, target: KeyTarget, keys: Path) -> AsyncIterator[Office]:
    async with bench(tmp_path, [target.hop()], keys=keys) as b:
        made = Office(b)
        yield made
        await made.close()


async def ready(seat: Seat) -> None:
    await seat.until(lambda: bool(seat.events) and bool(seat.shown))
    await seat.type("exec env HISTFILE= PS1='ready''> ' bash --norc --noprofile\r")
    await seat.sees(b"ready> ")


@needs_terminal
async def test_a_guest_who_is_far_behind_gets_the_screen_as_it_is_and_holds_up_nobody(office: Office) -> None:
    owner = office.open()
    await ready(owner)
    guest = office.guest("s-1")
    await asyncio.sleep(0.1)
    await owner.type("seq 1 300000; echo 'do''ne'\r")
    await owner.sees(b"done\r\n")
    assert len(owner.shown) > 2_000_000
    guest.listen()
    await guest.sees(b"done")
    assert len(guest.shown) < 1_500_000
    await owner.type("echo 'mo''re'\r")
    await guest.sees(b"more")


async def test_a_full_node_does_not_say_that_it_stops(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "MOST_SESSIONS", 0)
    with pytest.raises(Refused) as refusal:
        await office.desk.terminal(WebTerminal(office.person, HERE, "web-01", "", "", 80, 24), Seat().node)
    assert (refusal.value.code, str(refusal.value.words)) == ("too_many", "")


@needs_terminal
async def test_an_owner_who_stays_away_ends_it(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "AWAY_S", 0.3)
    owner = office.open()
    await ready(owner)
    owner.node.lose("lost")
    [ended] = await office.b.portal.until("ended")
    assert ended["reason"] == "client"
    assert len(office.desk) == 0


@needs_terminal
async def test_one_who_comes_back_sees_the_screen_and_takes_the_place_of_the_first(office: Office) -> None:
    owner = office.open()
    await ready(owner)
    await owner.type("echo 'kept here'\r")
    await owner.sees(b"kept here\r\n")
    again = office.back(office.person, "s-1")
    await again.sees(b"kept here")
    await owner.until(lambda: any(one["event"] == "moved" for one in owner.events))
    await owner.until(lambda: owner.here.is_over)
    await again.type("echo $((6*7))\r")
    await again.sees(b"42\r\n")
    assert not office.b.portal.told("ended")


@needs_terminal
async def test_another_person_does_not_come_back_to_it(office: Office) -> None:
    owner = office.open()
    await ready(owner)
    with pytest.raises(Exception, match="no_session"):
        await office.desk.back(WebReturn(Person(78, "eve", Language.EN, "t"), "s-1"), Seat().node)
    with pytest.raises(Exception, match="no_session"):
        await office.desk.back(WebReturn(office.person, "s-2"), Seat().node)


@needs_terminal
async def test_a_guest_has_their_own_rights_and_what_they_enter_is_told_as_theirs(office: Office) -> None:
    owner = office.open()
    await ready(owner)
    guest = office.guest("s-1", may_type=True, actions=frozenset({Action.CONNECT, Action.COPY})).listen()
    await guest.until(lambda: bool(guest.events))
    assert guest.event("open")["actions"] == ["connect", "copy"]
    assert owner.event("open")["actions"] == sorted(EVERYTHING)
    await guest.type("\x1b[200~echo never-pasted\x1b[201~\r")
    await asyncio.sleep(0.3)
    for key in "echo $((6*7))\r":
        await guest.type(key)
        await asyncio.sleep(0.05)
    await owner.sees(b"42\r\n")
    await owner.type("echo $((6*8))\r")
    await owner.sees(b"48\r\n")
    assert b"never-pasted" not in owner.shown
    told = {str(one["text"]): one.get("by") for one in office.b.portal.told("command")}
    assert told["echo $((6*7))"] == 77
    assert told["echo $((6*8))"] is None


@needs_terminal
async def test_who_entered_a_line_is_known_while_another_waits_to_be_judged(office: Office) -> None:
    rule = CommandRule(1, "^echo held", Verdict.REVIEW)
    office.b.portal.change("web-01", rules=(rule,))
    owner = office.open()
    await ready(owner)
    guest = office.guest("s-1", may_type=True, actions=frozenset(EVERYTHING)).listen()
    await guest.until(lambda: bool(guest.events))
    await guest.type("echo held back\r")
    await owner.until(lambda: bool(office.b.portal.reviews))
    await owner.type("echo $((6*8))\r")
    await asyncio.sleep(0.3)
    [(number, _text)] = office.b.portal.reviews
    office.b.portal.order(Judged(number, is_allowed=True, by="root"))
    await owner.sees(b"48\r\n")
    told = {str(one["text"]): one.get("by") for one in office.b.portal.told("command")}
    assert (told["echo held back"], told["echo $((6*8))"]) == (77, None)


@needs_terminal
async def test_nobody_is_a_guest_without_the_right_to_share(office: Office) -> None:
    office.b.portal.change("web-01", actions=EVERYTHING - {Action.SHARE})
    owner = office.open()
    await ready(owner)
    with pytest.raises(Exception, match="no_share"):
        await office.desk.guest(WebGuest(Person(77, "dora", Language.EN, "t"), "s-1", may_type=False), Seat().node)


async def test_a_target_that_cannot_be_reached_is_said(office: Office) -> None:
    hop = office.b.portal.grants[0].hops[0]
    office.b.portal.change("web-01", hops=(type(hop)(hop.id, "127.0.0.1", 1, hop.account, hop.host_keys),))
    owner = office.open()
    await owner.until(lambda: any(one["event"] == "end" for one in owner.events))
    assert owner.event("end")["reason"] == "lost"
    assert "cannot be reached" in str(owner.event("end")["words"])
    await owner.until(lambda: owner.here.is_over)


async def test_a_changed_host_key_is_said(office: Office) -> None:
    hop = office.b.portal.grants[0].hops[0]
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    office.b.portal.change("web-01", hops=(type(hop)(hop.id, hop.host, hop.port, hop.account, (other,)),))
    owner = office.open()
    await owner.until(lambda: any(one["event"] == "end" for one in owner.events))
    assert "impostor" in str(owner.event("end")["words"])
    assert office.b.portal.told("host_key")[0]["result"] == "changed"
