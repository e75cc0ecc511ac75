"""What a node asks of the portal and tells it. No Django: the node program knows the portal by these shapes alone.

The portal decides, the node enforces, records and reports. Times are seconds since the epoch, UTC; sizes are bytes.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Refused(Exception):
    """The portal says no. `code` is a word for logs and audit, `words` a sentence for the person, in their language."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(code)
        self.code, self.words = code, words


class Ambiguous(Refused):
    """More than one resource has this name; `choices` are those the person may reach."""

    def __init__(self, words: str, choices: "Sequence[Resource]") -> None:
        super().__init__("ambiguous", words)
        self.choices = tuple(choices)


class Unreachable(Exception):
    """The portal does not answer: new sessions are refused, running ones go on for the grace time."""


class Action(StrEnum):
    CONNECT = "connect"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    COPY = "copy"
    PASTE = "paste"
    FORWARD = "forward"
    SHARE = "share"


class Front(StrEnum):
    """The door by which a person came in."""

    SSH = "ssh"
    WEB = "web"


class Language(StrEnum):
    ZH = "zh"
    EN = "en"


@dataclass(frozen=True)
class Client:
    address: str
    port: int
    software: str = ""


@dataclass(frozen=True)
class Person:
    """Who has signed in. `token` stands for this login in later questions; it is worth nothing elsewhere.

    `says_work`: nothing is let in without a word about what it is for.
    """

    id: int
    name: str
    language: Language
    token: str = field(repr=False)
    says_work: bool = False


@dataclass(frozen=True)
class Resource:
    """A line of the menu."""

    id: int
    name: str
    address: str
    group: str
    customer: str
    accounts: tuple[str, ...]
    is_favourite: bool = False
    used_at: float | None = None


@dataclass(frozen=True)
class Account:
    """With whom the node signs in on the target. Without secret: the person types their own."""

    name: str
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)

    @property
    def is_own(self) -> bool:
        return not self.password and not self.private_key


@dataclass(frozen=True)
class Hop:
    """One SSH server on the way, the target last. `host_keys` are pinned, as `ssh-ed25519 AAAA…`; none: first sight.

    `trusts_first_sight`: an unknown key is reported and gone on with; else it is reported and refused.
    `is_doubted`: it last answered with another key than those pinned; that it shows one of them again is reported.
    """

    id: int
    host: str
    port: int
    account: Account
    host_keys: tuple[str, ...]
    trusts_first_sight: bool = False
    is_doubted: bool = False
    legacy_algorithms: bool = False


@dataclass(frozen=True)
class Limits:
    """`ends_at`: when the grant's date or weekly window closes; `warn_s` before it the person is told."""

    idle_s: float
    total_s: float
    ends_at: float | None = None
    warn_s: float = 300.0


class Verdict(StrEnum):
    ALLOW = "allow"
    WARN = "warn"
    DENY = "deny"
    REVIEW = "review"


@dataclass(frozen=True)
class CommandRule:
    """The first rule that matches decides. `pattern` is an RE2 expression over one simple command."""

    id: int
    pattern: str
    verdict: Verdict
    words: str = ""


@dataclass(frozen=True)
class Access:
    """A yes: all that one session may do and needs, and nothing for the next one."""

    session_id: str
    customer_id: int
    resource: Resource
    hops: tuple[Hop, ...]
    actions: frozenset[Action]
    limits: Limits
    rules: tuple[CommandRule, ...] = ()
    forwards: tuple[str, ...] = ()
    """Destinations as `host:port`, `network/bits:port` or `*:port`."""
    copies_most: int = 0
    """The largest file, in bytes, of which a copy is kept; 0: of none."""
    work: str = ""
    """The incident or change that it is for; empty when the reason is only written down."""
    waits_for: str = ""
    """Who has to let this very session in, in words: it is asked for by a review of number 0, and has no hops before.
    Empty: nobody."""

    def may(self, action: Action) -> bool:
        return action in self.actions


@dataclass(frozen=True)
class Wish:
    """What somebody asks for. `resource` is a name, an address or a number; `work` a code or a reason."""

    person: Person
    client: Client
    front: Front
    resource: str
    account: str = ""
    work: str = ""


class WorkNeeded(Refused):
    """Provider staff must say what they work on; the portal offers what is theirs."""

    def __init__(self, words: str, offers: Sequence[tuple[str, str]]) -> None:
        super().__init__("work_needed", words)
        self.offers = tuple(offers)


# --- what the node tells ----------------------------------------------------------------------------------------------

LONGEST_COMMAND, LONGEST_PATH = 100_000, 8_000
"""Characters that the portal keeps of a command and of any other text."""


@dataclass(frozen=True)
class Fact:
    """Something that happened in a session. `number` counts from 1 without holes: nothing twice, nothing lost.

    kinds and their data:
      opened      {"cols", "rows", "term", "channel": "shell|exec|sftp|scp|forward"}
      account     {"name": with which the person has signed in on the target, of their own}
      command     {"text", "at_s": seconds into the recording, "verdict", "rule": id or None, "exit": int or None,
                   "by": user id, where a guest has entered it}
      transfer    {"path", "direction": "up|down", "bytes", "sha256": or None, "result": "done|cut|failed|refused",
                   "tool": "sftp|scp|rsync", "copy": name of the kept copy or None, and of rsync, whose bytes are
                   those on the wire, "back": bytes the other way, "exit": status or None}
      file        {"action": "remove|rename|mkdir|rmdir|chmod|symlink|…", "path", "other", "result"}
      forward     {"host", "port", "result", "sent", "received"}
      linked      {}: the connection to the target had broken, and was made anew while the session went on
      host_key    {"hop": id, "host", "port", "key", "fingerprint", "result": "first|changed|pinned"}
      refused     {"what", "code"}
      ended       {"reason": "exit|client|idle|total|window|revoked|killed|lost|recording|grace|node|refused",
                   "exit": int or None, "sent", "received", "by": user id or None}
    """

    session_id: str
    number: int
    at: float
    kind: str
    data: dict[str, object]


@dataclass(frozen=True)
class Piece:
    """A closed piece of a recording, as it lies on disk, with its line of the chain."""

    session_id: str
    number: int
    path: str
    link: dict[str, object]


# --- what the portal tells a session ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class End:
    reason: str
    words: str = ""
    by: int | None = None


@dataclass(frozen=True)
class Lock:
    is_locked: bool
    words: str = ""


@dataclass(frozen=True)
class Say:
    words: str
    by: str


@dataclass(frozen=True)
class NewTerms:
    """The grant or the command rules were changed while the session runs. Without hops: those that it has stay."""

    access: Access


@dataclass(frozen=True)
class Judged:
    """Whoever reviews commands has spoken about number `command`."""

    command: int
    is_allowed: bool
    by: str
    words: str = ""


@dataclass(frozen=True)
class Watch:
    """Somebody looks on from `offset` bytes of the recording's plain text; off when `is_on` is false.

    Said again with the same `watcher` it means that they are still there: without a word for a minute they are not.
    """

    watcher: str
    is_on: bool
    offset: int = 0


Order = End | Lock | Say | NewTerms | Judged | Watch


# --- what the portal opens a stream for -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Purpose:
    """Of a stream (`streams.Stream`)."""


@dataclass(frozen=True)
class Tunnel(Purpose):
    """A TCP connection from the node. `is_near_allowed`: loopback and link-local addresses are reached as well."""

    host: str
    port: int
    is_near_allowed: bool = False


@dataclass(frozen=True)
class WebTerminal(Purpose):
    """A shell for somebody at a browser: the node asks for it with the person's token, as for an SSH client."""

    person: Person
    client: Client
    resource: str
    account: str
    work: str
    cols: int
    rows: int


@dataclass(frozen=True)
class WebReturn(Purpose):
    """The same person comes back to a session whose browser was lost."""

    person: Person
    session_id: str


@dataclass(frozen=True)
class WebGuest(Purpose):
    """Somebody whom the person has invited to look on, or to type as well. `actions`: what they may do themselves."""

    person: Person
    session_id: str
    may_type: bool
    actions: frozenset[Action] = frozenset()


@dataclass(frozen=True)
class WebFiles(Purpose):
    """SFTP, as a browser speaks it."""

    person: Person
    client: Client
    resource: str
    account: str
    work: str


class Portal(Protocol):
    """Raises Refused and Unreachable; every question is answered within ten seconds or is unreachable."""

    async def is_known_key(self, login: str, public_key: str, client: Client) -> bool: ...

    async def sign_in_by_key(self, login: str, public_key: str, client: Client, code: str = "") -> Person:
        """Refused with `code_needed`: a one-time code is asked for beside the key."""
        ...

    async def sign_in_by_password(self, login: str, password: str, code: str, client: Client) -> Person:
        """Password and one-time code together, so that nobody learns which of the two was wrong."""
        ...

    async def sign_in_by_ticket(self, ticket: str, client: Client) -> tuple[Person, Wish]: ...

    async def resources(self, person: Person, query: str, limit: int) -> Sequence[Resource]: ...

    async def authorise(self, wish: Wish) -> Access: ...

    def tell(self, fact: Fact) -> None:
        """Kept on disk until the portal has it; never waits."""
        ...

    def deliver(self, piece: Piece) -> None: ...

    def orders(self, session_id: str) -> AsyncIterator[Order]: ...

    async def review(self, session_id: str, command: int, text: str, timeout_s: float) -> bool:
        """Whether it was allowed. The answer may come as an order, `Judged`, as well: then this waits in vain."""
        ...

    async def hops(self, person: Person, session_id: str) -> tuple[Hop, ...]:
        """The way to the target of a session that somebody has let in."""
        ...

    def show(self, session_id: str, watcher: str, offset: int, rows: bytes, skips: bool) -> bool:
        """Rows of the recording's plain text for one who looks on; `offset` is where they begin.

        `skips`: what stands before them was left out. Never waits; False: there is no room now, ask again.
        """
        ...
