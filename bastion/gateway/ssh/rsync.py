"""rsync: the server's half runs on the target as a command; its direction, paths, bytes and exit status are noted.

Single files and their digests are not: rsync's own protocol sends them in pieces, by difference and compressed.
"""

import shlex
from dataclasses import dataclass
from itertools import pairwise

from bastion.gateway.contract import Action
from bastion.gateway.session import Session
from bastion.gateway.ssh.files import BOTH_WAYS, Ledger, plain_words
from bastion.gateway.ssh.relay import Ask, Exit, Relay, Screen

CHANGES_AS_SENDER = ("--remove-source-files", "--remove-sent-files", "--log-file", "--write-batch", "--daemon")
"""What makes the sending half write on the target as well."""
SECLUDED = ("--protect-args", "--secluded-args")
"""Options and paths come by the protocol, not by the command line."""


@dataclass(frozen=True)
class Sync:
    """What `rsync --server …` asks for. Paths are those of the command line: none when they are secluded."""

    is_upload: bool
    paths: tuple[str, ...]
    rights: frozenset[Action]

    @property
    def path(self) -> str:
        return self.paths[0] if len(self.paths) == 1 else shlex.join(self.paths)


def read_command(command: str) -> Sync | None:
    """None: no server of rsync is started, as far as the words tell."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    at = [n for n, (program, word) in enumerate(pairwise(words)) if (_name(program), word) == ("rsync", "--server")]
    if not at:
        return None
    said = words[at[0] + 2 :]
    paths = tuple(said[said.index(".") + 1 :]) if "." in said else ()
    is_sender = said[:1] == ["--sender"]
    is_plain = len(at) == 1 and not any(_is_secluded(word) for word in said) and "--sender" not in said[is_sender:]
    if is_sender and any(word.startswith(CHANGES_AS_SENDER) for word in said):
        is_plain = False
    right = Action.DOWNLOAD if is_sender else Action.UPLOAD
    return Sync(not is_sender, paths, frozenset({right}) if is_plain and "--daemon" not in said else BOTH_WAYS)


def _name(program: str) -> str:
    return program.rpartition("/")[2]


def _is_secluded(word: str) -> bool:
    """`-s` among the short options; what stands behind `e` in them is something else."""
    is_short = word.startswith("-") and not word.startswith("--")
    return word in SECLUDED or (is_short and "s" in word.partition("e")[0])


class Rsync(Relay):
    """A relay that leaves an entry in the list of files. What passes is no text, and of a plain rsync not recorded."""

    def __init__(self, session: Session, screen: Screen, ask: Ask, sync: Sync) -> None:
        super().__init__(session, screen, ask, sync.rights)
        self._sync, self._ledger = sync, Ledger(session, "rsync")
        self._direction = "up" if sync.is_upload else "down"
        if plain_words(ask.command, {"rsync"}) is not None:
            self._kept_most |= {"input": 0, "output": 0}

    def _refuse(self, right: Action) -> None:
        if not self._is_open:  # else it is told with its bytes when it is cut
            self._ledger.refused(self._sync.path, self._direction)
        super()._refuse(right)

    def lock(self, is_locked: bool) -> None:
        self.input_valve.turn("lock", is_held=is_locked)
        self.output_valve.turn("lock", is_held=is_locked)

    def cut(self, exit_status: int | None) -> None:
        if self._is_open:
            ways = (self.session.sent, self.session.received)
            there, back = ways if self._sync.is_upload else ways[::-1]
            how, status = self._exit, self._exit.status
            result = "cut" if how == Exit() else "done" if status == 0 else "failed"
            self._ledger.synchronised(self._sync.path, self._direction, there, back, result=result, status=status)
        super().cut(exit_status)
