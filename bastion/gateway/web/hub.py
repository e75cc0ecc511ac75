"""A session at browsers: its owner's, who may be away for a while, and those of invited guests."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from bastion.gateway.contract import Account, Action, Person
from bastion.gateway.recording.writer import Recorder
from bastion.gateway.session import Session
from bastion.gateway.ssh.console import MOST_TYPED, Left
from bastion.gateway.ssh.pressure import Valve
from bastion.gateway.ssh.relay import Exit, Relay
from bastion.gateway.streams import Stream, StreamClosed
from bastion.gateway.web.pasting import Pasting
from bastion.gateway.web.seat import FLUSH_S, FULL, Seat

AWAY_S: Final = 300.0
"""How long a session waits for a browser that was lost."""
LOOK_S: Final = 1.0
NOTICE_EVERY_S: Final = 3.0
MOST_GUESTS: Final = 8
LEAST, MOST_COLS, MOST_ROWS = 2, 500, 300
SIGNED_OUT: Final = "signed_out"


class Hub:
    """Satisfies `relay.Screen`."""

    def __init__(self, session: Session, size: tuple[int, int], on_over: Callable[["Hub"], None]) -> None:
        self.session, self.relay, self._on_over = session, None, on_over
        self._size = size
        self._seats: list[Seat] = []
        self._valve: Valve | None = None
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._away: asyncio.TimerHandle | None = None
        self._pasting = Pasting(time.monotonic)
        self._noticed_at = 0.0
        self._state: dict[str, object] = {}
        self.last_words = ""
        self._own: tuple[str, asyncio.Future[Account]] | None = None
        self._own_name = ""
        self._writers: set[asyncio.Task[None]] = set()
        session.spawn(self._look())

    relay: "WebRelay | None"

    # --- browsers ---------------------------------------------------------------------------------------------------

    async def sit(
        self,
        stream: Stream,
        person: Person,
        *,
        is_owner: bool = True,
        may_type: bool = True,
        actions: frozenset[Action] = frozenset(),
    ) -> None:
        """Until this browser has gone. An owner's second browser takes the place of the first."""
        seat = Seat(stream, person, is_owner=is_owner, may_type=may_type, redraw=self._redraw, actions=actions)
        if is_owner:
            self._be_back()
            for other in [one for one in self._seats if one.is_owner]:
                other.tell(event="moved")
                other.leave()
                self._seats.remove(other)
        seat.on_room = self._on_room
        seat.tell(event="open", **self._about(seat), **self._now(), **self._rights(seat))
        if self.session.recording is not None:
            seat.draw()
        self._seats.append(seat)
        if is_owner and self._own is not None:
            self._ask_own(seat, self._own[0])
        if self.session.is_over:
            self._say_end(seat, None)
        writing = asyncio.ensure_future(seat.write())
        self._writers.add(writing)
        writing.add_done_callback(self._written)
        self._tell_guests()
        if not is_owner:
            self._note("guest_came", name=person.name, may=self.session.say("may_type" if may_type else "may_view"))
        reason = ""
        try:
            await seat.read(self._input, self._heard, self._may_read)
        except StreamClosed as closed:
            reason = closed.reason
        finally:
            await self._gone(seat, writing, reason)

    async def _gone(self, seat: Seat, writing: "asyncio.Task[None]", reason: str) -> None:
        was_here = seat in self._seats
        if was_here:
            self._seats.remove(seat)
        if seat.stream.is_over:
            writing.cancel()
        else:
            seat.leave()
            await asyncio.wait({writing}, timeout=FLUSH_S)
        if self.session.is_over or not was_here:
            return
        if seat.is_owner:
            self._on_room()
            if reason == SIGNED_OUT:
                self.session.end("client")
            else:
                self._be_away()
        else:
            self._note("guest_left", name=seat.person.name)
        self._tell_guests()

    def _written(self, task: "asyncio.Task[None]") -> None:
        self._writers.discard(task)
        if not task.cancelled():
            task.exception()

    def _be_away(self) -> None:
        self.session.mark("browser lost")
        self._away = asyncio.get_running_loop().call_later(AWAY_S, self.session.end, "client")

    def _be_back(self) -> None:
        if self._away is not None:
            self._away.cancel()
            self._away = None
            self.session.mark("browser back")

    def _note(self, key: str, **parts: object) -> None:
        words = self.session.say(key, **parts)
        self.session.mark(words)
        self.session.show(words)

    def _tell_guests(self) -> None:
        guests = [{"name": one.person.name, "may_type": one.may_type} for one in self._seats if not one.is_owner]
        for seat in self._seats:
            seat.tell(event="guests", guests=guests)

    @property
    def guests(self) -> int:
        return sum(not seat.is_owner for seat in self._seats)

    # --- what browsers say ------------------------------------------------------------------------------------------

    def _input(self, seat: Seat, data: bytes) -> None:
        if not seat.may_type or self.relay is None or self.session.is_over:
            return
        if Action.PASTE not in self._actions(seat) and self._pasting.is_pasted(data):
            self._refuse_paste()
            return
        if self.session.typist != seat.person.id:
            self.session.typist = seat.person.id
            self.session.mark(f"typed by {seat.person.name}")
        self.relay.input(data)

    def _refuse_paste(self) -> None:
        now = time.monotonic()
        if now - self._noticed_at >= NOTICE_EVERY_S:
            self._noticed_at = now
            self.session.refused("paste", "no_paste")
            self.session.show(self.session.say("no_paste"))

    def _heard(self, seat: Seat, said: dict[str, object]) -> None:
        if not seat.is_owner:
            return
        if said.get("do") == "resize":
            cols, rows = said.get("cols"), said.get("rows")
            if isinstance(cols, int) and isinstance(rows, int) and self.relay is not None:
                self._resize(max(LEAST, min(cols, MOST_COLS)), max(LEAST, min(rows, MOST_ROWS)))
        elif said.get("do") == "own":
            self._answer_own(said.get("name"), said.get("password"))
        elif said.get("do") == "bye":
            self.session.end("client")

    # --- name and password of the owner's own -----------------------------------------------------------------------

    async def own_account(self, account: Account) -> Account:
        """What the owner types into the page: it is handed on to the target and kept nowhere. Raises Left."""
        waiting: asyncio.Future[Account] = asyncio.get_running_loop().create_future()
        self._own = account.name, waiting
        for seat in self._seats:
            if seat.is_owner:
                self._ask_own(seat, account.name)
        try:
            given = await waiting
        finally:
            self._own = None
        self._own_name = given.name
        self._tell_state()
        return given

    def _ask_own(self, seat: Seat, name: str) -> None:
        seat.tell(event="own", account=name, words=self.last_words)

    def _answer_own(self, name: object, password: object) -> None:
        """Without both: the person does not want to say."""
        if self._own is None or self._own[1].done():
            return
        asked, waiting = self._own
        self.session.used()
        name, password = (one if isinstance(one, str) else "" for one in (asked or name, password))
        if name.strip() and password and len(name) + len(password) <= MOST_TYPED:
            waiting.set_result(Account(name.strip(), password=password))
        else:
            waiting.set_exception(Left())

    def _resize(self, cols: int, rows: int) -> None:
        if (cols, rows) == self._size or self.relay is None:
            return
        self._size = cols, rows
        self.relay.resize(cols, rows)
        for seat in self._seats:
            if not seat.is_owner:
                seat.tell(event="size", cols=cols, rows=rows)

    # --- what they are told -----------------------------------------------------------------------------------------

    def _about(self, seat: Seat) -> dict[str, object]:
        access = self.session.access
        return {
            "session": access.session_id,
            "resource": access.resource.name,
            "is_owner": seat.is_owner,
            "may_type": seat.may_type,
            "cols": self._size[0],
            "rows": self._size[1],
        }

    def _actions(self, seat: Seat) -> frozenset[Action]:
        """An owner's are the session's, which may change; a guest has what they would have by themselves."""
        return self.session.access.actions if seat.is_owner else seat.actions

    def _rights(self, seat: Seat) -> dict[str, object]:
        return {"actions": sorted(self._actions(seat))}

    def _now(self) -> dict[str, object]:
        access = self.session.access
        return {
            "ends_at": access.limits.ends_at,
            "warn_s": access.limits.warn_s,
            "locked": self.session.is_locked,
            "waits_for": access.waits_for if self.session.is_waiting else "",
            "account": self._account,
        }

    @property
    def _account(self) -> str:
        hops = self.session.access.hops
        return (hops[-1].account.name if hops else "") or self._own_name

    async def _look(self) -> None:
        """Terms and lock as they are, whenever they change."""
        while True:
            self._tell_state()
            await asyncio.sleep(LOOK_S)

    def _tell_state(self) -> None:
        state = self._now()
        known = {**state, "actions": self.session.access.actions}
        if known != self._state:
            self._state = known
            for seat in self._seats:
                seat.tell(event="state", **state, **self._rights(seat))

    def _redraw(self) -> bytes:
        recording = self.session.recording
        if recording is not None and isinstance(recording.tape, Recorder) and recording.tape.screen is not None:
            return recording.tape.screen.keyframe().encode() or b"\x1bc"
        return b"\x1bc"

    # --- as a screen ------------------------------------------------------------------------------------------------

    def output(self, data: bytes) -> None:
        for seat in self._seats:
            seat.show(data)

    def error(self, data: bytes) -> None:
        self.output(data)

    def eof(self) -> None:
        """`done` comes after it."""

    def hold_input(self, is_held: bool) -> None:
        (self._may_read.clear if is_held else self._may_read.set)()

    def mind(self, valve: Valve) -> None:
        """While nobody is here, the recording alone takes what comes."""
        self._valve = valve
        if any(seat.is_owner and seat.is_full for seat in self._seats):
            valve.turn("screen", is_held=True)

    def _on_room(self) -> None:
        if self._valve is not None and not any(seat.is_owner and seat.unsent > FULL // 2 for seat in self._seats):
            self._valve.turn("screen", is_held=False)

    def done(self, how: Exit) -> None:
        if self._away is not None:
            self._away.cancel()
        if self._own is not None and not self._own[1].done():
            self._own[1].set_exception(Left())
        for seat in self._seats:
            self._say_end(seat, how.status)
        self._may_read.set()
        self._on_over(self)

    def _say_end(self, seat: Seat, status: int | None) -> None:
        seat.tell(event="end", reason=self.session.reason, status=status, words=self.last_words)
        seat.leave()


class WebRelay(Relay):
    """Remembers what was said last, which a browser shows outside the terminal as well."""

    def __init__(self, session: Session, hub: Hub, *said: object) -> None:
        super().__init__(session, hub, *said)  # type: ignore[arg-type]
        self._hub = hub
        hub.relay = self

    def show(self, words: str) -> None:
        self._hub.last_words = words
        with contextlib.suppress(StreamClosed):
            super().show(words)
