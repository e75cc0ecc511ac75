"""One script on one server over SSH, by the account for operations: what it said, from where, and why it did not.

Threads run `Errand.run`: it holds no Django and no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from accounts.errors import DomainError
from accounts.models import User
from accounts.vault import VaultError
from assets import ssh
from assets.models import AccountPurpose, Asset
from assets.services import reaching
from bastion.hardening.catalogue import script as body_of
from bastion.hardening.logins import address
from changes.scripts import Interpreter, Script, command, given
from changes.services import transports
from changes.services.transports import Transport

PURPOSES: Final = (AccountPurpose.OPERATIONS,)
MOST_OUTPUT: Final = 1_000_000
LOCAL_SLACK_S: Final = 15.0
AT_ONCE: Final = 8
PROBE: Final = "env true"


class _Bounded(ssh.Stream):
    """Whoever says more than any answer is long is not listened to any further."""

    def add(self, piece: bytes) -> None:
        super().add(piece)
        if self.is_cut:
            raise ssh.SshError("too_much")


@dataclass(frozen=True, slots=True)
class Answer:
    """`problem` empty: `text` is all that the script said. `seen_as`: the address from which the server sees us."""

    text: str = ""
    problem: str = ""
    seen_as: str = ""
    asked_at: datetime | None = None
    """When the script was begun."""


@dataclass(frozen=True, slots=True)
class Errand:
    """All that a thread needs for one server."""

    way: Transport
    login: ssh.Login
    script: Script
    values: Mapping[str, str]

    def run(self) -> Answer:
        output = ssh.Output(MOST_OUTPUT)
        output.stdout, output.stderr = _Bounded(MOST_OUTPUT), _Bounded(MOST_OUTPUT)
        seen_as, asked_at = "", None
        try:
            with self.way.open(self.login) as session:
                seen_as = address(session.run('echo "$SSH_CONNECTION"').output.split(" ")[0])
                root = self._root(session)
                asked_at = datetime.now(UTC)
                status = session.execute(
                    f"{root.prefix}{command(self.script, self.values)}",
                    output,
                    given=f"{root.given}{given(self.script)}",
                    timeout_s=self.script.timeout_s + LOCAL_SLACK_S,
                )
        except ssh.SshError as problem:
            return Answer(problem=problem.code, seen_as=seen_as)
        text = output.stdout.text
        if self.login.password:
            text = text.replace(self.login.password, "******")
        if status not in (0, None) and "#over" not in text:
            return Answer(text, "exit", seen_as, asked_at)
        return Answer(text, "" if "#begin " in text else "no_answer", seen_as, asked_at)

    def _root(self, session: ssh.Session) -> reaching.Root:
        """As root where that is allowed; otherwise as itself, and the script says what it may not read."""
        way = reaching.root_of(session, self.login, probe=PROBE)
        if not way.given:
            return way
        if self.login.password and session.run(f"{way.prefix}{PROBE}", given=way.given).exit_code == 0:
            return way
        return reaching.Root()


def script(name: str, *, timeout_s: int) -> Script:
    return Script(
        interpreter=Interpreter.SH,
        body=body_of(name),
        parameters=(),
        accounts=frozenset(PURPOSES),
        as_root=True,
        only_reads=True,
        timeout_s=timeout_s,
        output_limit=MOST_OUTPUT,
    )


def errands(
    assets: Sequence[Asset],
    made: Script,
    values: Mapping[int, Mapping[str, str]],
    *,
    reason: str,
    actor: User | None,
    now: datetime,
) -> dict[int, Errand | str]:
    """By asset; a word where there is no way to it: nothing is sent there."""
    ways = transports.ways(assets, PURPOSES, as_root=False)
    found: dict[int, Errand | str] = {}
    for asset in assets:
        try:
            way = ways.through(asset)
            credential = ways.account_for(asset)
            login = transports.login(credential, reason=reason, actor=actor, now=now)
        except DomainError as refused:
            found[asset.pk] = refused.code
        except VaultError:
            found[asset.pk] = "no_secret"
        else:
            found[asset.pk] = Errand(way, login, made, values.get(asset.pk, {}))
    return found


def ask(found: Mapping[int, Errand | str]) -> dict[int, Answer]:
    """All of them at once; whatever a thread dies of is a problem of its server alone."""
    answers = {pk: Answer(problem=one) for pk, one in found.items() if isinstance(one, str)}
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        working: dict[int, Future[Answer]] = {
            pk: pool.submit(one.run) for pk, one in found.items() if isinstance(one, Errand)
        }
        for pk, future in working.items():
            problem = future.exception()
            answers[pk] = Answer(problem="went_wrong") if problem is not None else future.result()
    return answers
