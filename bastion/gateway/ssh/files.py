"""What is noted of files that pass: transfers with size and SHA-256, and whatever else changes a file system.

SFTP, scp and rsync share it, so that all leave the same trail.
"""

import hashlib
import re
import shlex
from collections.abc import Set
from dataclasses import dataclass, field

from bastion.gateway.contract import LONGEST_PATH, Action
from bastion.gateway.copies import Copy
from bastion.gateway.session import Session
from bastion.policy import bare, simple_commands

QUOTED = re.compile(r"'[^']*'|\"[^\"\\$`]*\"|\\.", re.DOTALL)
ACTIVE = re.compile(r"[;|&<>()$`\n{}!#'\"]")
BEFORE = re.compile(
    r"((/usr)?/bin/)?(sudo|doas|env|exec|nice|nohup|command|setsid)\s+(-(?!-sp)[^\s=S]+\s+([\w.][\w.-]*\s+)?)*"
)
"""What may stand before a program and changes nothing about which it is: no variables, and no `env -S`."""
PLACES = {"", "/bin/", "/usr/bin/", "/usr/local/bin/", "/usr/libexec/"} | {
    f"/usr/{place}/" for place in ("lib/openssh", "libexec/openssh", "lib/ssh", "lib/misc")
}
BOTH_WAYS = frozenset({Action.UPLOAD, Action.DOWNLOAD})
SFTP_SERVERS = frozenset({"sftp-server", "internal-sftp"})
RUNNERS = frozenset(
    {"timeout", "stdbuf", "ionice", "xargs", "chrt", "taskset", "busybox", "script", "unbuffer", "strace"}
)
"""Programs that run one of their later words; `policy.bare` knows those that run nothing but their next."""
SCP_SERVES = re.compile(r"-[A-Za-z]{0,6}[tf][A-Za-z]{0,6}")

MOST_OPEN = 256  # OpenSSH's own server stops at 100 handles by default.


@dataclass(eq=False)
class Transfer:
    """One open file in one direction. The hash holds while the data comes in order, from the start."""

    path: str
    direction: str
    size: int = 0
    is_failed: bool = False
    copy: Copy | None = None
    _next: int = 0
    _hash: "hashlib._Hash | None" = field(default_factory=hashlib.sha256)

    def passed(self, offset: int, data: bytes | memoryview) -> None:
        self.size += len(data)
        if self._hash is None or not data:
            return
        if offset == self._next:
            self._hash.update(data)
            self._next += len(data)
        else:
            self._hash = None
        if self.copy is not None and self._hash is not None:
            self.copy.write(data)
        elif self.copy is not None:
            self.copy.drop()

    @property
    def sha256(self) -> str | None:
        return self._hash.hexdigest() if self._hash is not None else None


class Ledger:
    """`tool` is "sftp", "scp" or "rsync"."""

    def __init__(self, session: Session, tool: str) -> None:
        self._session, self._tool = session, tool
        self._open: list[Transfer] = []
        self._copies = 0

    @property
    def has_room(self) -> bool:
        return len(self._open) < MOST_OPEN

    def may(self, action: Action) -> bool:
        return self._session.access.may(action) and not self._session.is_locked

    @property
    def may_change(self) -> bool:
        return self.may(Action.UPLOAD)

    def begin(self, path: bytes | str, direction: str) -> Transfer:
        transfer = Transfer(text(path), direction, copy=self._copy())
        self._open.append(transfer)
        return transfer

    def _copy(self) -> Copy | None:
        session = self._session
        if session.node.copies is None or not session.access.copies_most:
            return None
        self._copies += 1
        return session.node.copies.begin(session.access.session_id, self._copies, session.access.copies_most)

    def passed(self, transfer: Transfer, offset: int, data: bytes | memoryview) -> None:
        """Bytes count towards the session and keep it awake."""
        transfer.passed(offset, data)
        self._session.used()

    def finish(self, transfer: Transfer, *, is_cut: bool = False) -> None:
        if transfer not in self._open:
            return
        self._open.remove(transfer)
        result = "failed" if transfer.is_failed else "cut" if is_cut else "done"
        self._tell(transfer, result)

    def finish_all(self) -> None:
        """Whatever is still open was cut off."""
        for transfer in list(self._open):
            self.finish(transfer, is_cut=True)

    def refused(self, path: bytes | str, direction: str) -> None:
        self._tell(Transfer(text(path), direction, _hash=None), "refused")

    def synchronised(self, path: str, direction: str, size: int, back: int, *, result: str, status: int | None) -> None:
        """Of rsync: bytes on the wire in its direction and the other way, and its exit status."""
        said = {"path": text(path), "direction": direction, "bytes": size, "back": back, "exit": status}
        self._session.tell("transfer", **said, sha256=None, result=result, tool=self._tool, copy=None)

    def changed(self, action: str, path: bytes | str, other: bytes | str = "", *, result: str) -> None:
        """`result` is done, failed or refused."""
        self._session.tell("file", action=action, path=text(path), other=text(other), result=result)

    def _tell(self, transfer: Transfer, result: str) -> None:
        copy, name = transfer.copy, None
        if copy is not None and result == "done" and transfer.sha256 is not None and copy.finish():
            name = str(copy.number)
        elif copy is not None:
            copy.drop()
        self._session.tell(
            "transfer",
            path=transfer.path,
            direction=transfer.direction,
            bytes=transfer.size,
            sha256=transfer.sha256 if result == "done" else None,
            result=result,
            tool=self._tool,
            copy=name,
        )


def text(path: bytes | str) -> str:
    """As long as the portal keeps it."""
    return (path if isinstance(path, str) else path.decode("utf-8", "replace"))[:LONGEST_PATH]


def plain_words(command: str, names: Set[str]) -> list[str] | None:
    """The words behind the program, where a command runs one of these and nothing else: a shell does no more with it,
    and the program is that of the system."""
    if ACTIVE.search(QUOTED.sub("", command)):
        return None
    as_run = bare(command)
    before = command.removesuffix(as_run).lstrip()
    while before and (match := BEFORE.match(before)) is not None:
        before = before[match.end() :]
    try:
        words = shlex.split(as_run)
    except ValueError:
        return None
    if before or not words:
        return None
    name = words[0].rpartition("/")[2]
    return words[1:] if name in names and words[0].removesuffix(name) in PLACES else None


def moves_files(command: str) -> bool:
    """Whether somewhere in a command a server of SFTP, scp or rsync is started, as far as the words tell."""
    return any(_moves_files(piece.split()) for piece in simple_commands(command))


def _moves_files(words: list[str]) -> bool:
    names = [word.rpartition("/")[2] for word in words]
    for at, name in enumerate(names if names and names[0] in RUNNERS else names[:1]):
        later = words[at + 1 :]
        if name in SFTP_SERVERS or (name == "rsync" and "--server" in later):
            return True
        if name == "scp" and any(SCP_SERVES.fullmatch(word) for word in later):
            return True
    return False
