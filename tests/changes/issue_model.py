"""What has to be true before a change may begin, written from the issue and the contract alone.

Nothing of `changes.gates`, `changes.approval` or `changes.services` is asked here: the model hears which calls were
accepted, with who and when, and says what is still missing. Sources: the path in the issue (draft, risk told, customer
confirmed, tested, backed up, approved, scheduled, executing; emergencies with a review afterwards; nobody approves
alone what they asked for; standard changes are signed and approved once), annex 1, clause 5.2, R82 to R93, R145, and
R148 to R152: no patch on a production instance before the same one succeeded on another that is not production.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

BACKUP_LIFE: Final = timedelta(days=7)
NOTHING: Final = ""
"""What is backed up where no asset is touched."""


@dataclass(slots=True)
class Person:
    name: str
    is_provider: bool
    is_manager: bool = False
    is_customer_pm: bool = False


@dataclass(slots=True)
class Content:
    """What is signed; another one is another question."""

    plan: str = ""
    assets: tuple[str, ...] = ("web",)
    waives_test: bool = False
    waives_backup: bool = False


@dataclass(slots=True)
class Model:
    """One change, wanted by the customer on an incident of its own. `ours`: how many of ours have to say yes."""

    window: tuple[datetime, datetime]
    authors: set[str]
    content: Content = field(default_factory=Content)
    ours: int = 1
    is_patch: bool = False
    is_proven: bool = False
    """The same patch went through on `spare`."""
    must_sign: bool = False
    is_standard: bool = False
    is_in_force: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    """Of each asset, today; `told`: when the customer was told of the risk."""
    told: dict[str, str] = field(default_factory=dict)
    is_submitted: bool = False
    is_cancelled: bool = False
    is_emergency: bool = False
    risk: str = ""
    is_told: bool = False
    is_signed: bool = False
    is_heard: bool = False
    has_procedure: bool = False
    last_test: tuple[bool, str] | None = None
    backups: dict[str, datetime] = field(default_factory=dict)
    approved_by: list[Person] = field(default_factory=list)
    is_refused: bool = False
    is_scheduled: bool = False
    is_frozen: bool = False
    is_overruled: bool = False

    def hear(self, call: str, person: Person, now: datetime) -> None:  # noqa: PLR0912, PLR0915 - one branch a call
        """A call was accepted. Some say what they are about: `backup web`, `test spare`, `web is production`."""
        match call.split(" "):
            case [name, "is", environment]:
                self.environment[name] = environment
            case ["submit"]:
                self.is_submitted = True
            case ["cancel"]:
                self.is_cancelled = True
            case ["edit"]:
                self._edit(Content(f"at {now}", self.content.assets), person)
            case ["waive"]:
                self._edit(Content("x", self.content.assets, waives_test=True, waives_backup=True), person)
            case ["strip"]:
                self._edit(Content("x", ()), person)
            case ["emergency"]:
                assert person.is_manager, "only a service manager makes an emergency"
                if not self.is_emergency:
                    self.is_emergency, self.is_standard, self.approved_by, self.is_refused = True, False, [], False
            case ["risk", risk]:
                self._tell(risk)
            case ["sign"]:
                assert person.is_customer_pm, "a named contact of the customer signs"
                self.is_signed = True
            case ["hear"]:
                assert not self.must_sign, "ports are closed on a signature"
                self.is_heard = True
            case ["sop"]:
                self.has_procedure = True
            case ["test" | "fail-test" as verdict, name]:
                assert self.environment[name] == "test", "nothing is tried on production"
                self.last_test = (verdict == "test", name)
            case ["backup", name]:
                self._keep(name, now)
            case ["old-backup", name]:
                self._keep(name, now - timedelta(days=8))
            case ["yes"]:
                assert person.is_customer_pm or person.name not in self.authors, "four eyes are four eyes"
                self.approved_by.append(person)
            case ["no"]:
                self.is_refused = True
            case ["ask-again"]:
                self.approved_by, self.is_refused = [], False
            case ["schedule"]:
                self.is_scheduled = True
            case ["freeze"]:
                self.is_frozen = True
            case ["overrule"]:
                assert person.is_manager, "a freeze is broken by a service manager"
                assert person.name not in self.authors, "and not by who wrote the change"
                self.is_overruled = True
            case ["retire"]:
                self.is_in_force = False

    def _tell(self, risk: str) -> None:
        """Another text is another question, to all: also when an asset is called something else in it."""
        told = {name: self.environment[name] for name in self.content.assets}
        if self.is_told and (risk, told) != (self.risk, self.told):
            self.is_heard, self.approved_by, self.is_refused = False, [], False
        self.risk, self.told, self.is_told, self.is_signed = risk, told, True, False

    def _keep(self, name: str, at: datetime) -> None:
        self.backups[name] = max(at, self.backups.get(name, at))

    def _edit(self, content: Content, person: Person) -> None:
        """Whoever rewrites it asks for every word again; saving it as it was asks for nothing."""
        if content == self.content:
            return
        self.content = content
        self.authors.add(person.name)
        self.is_told = self.is_signed = self.is_heard = self.is_refused = self.is_overruled = False
        self.last_test, self.approved_by = None, []

    def missing(self, now: datetime) -> list[str]:
        """Why it may not begin; none when it may."""
        starts, ends = self.window
        is_quick = self.is_emergency or self.is_standard
        has_customers_word = self.is_signed or (self.is_emergency and self.is_heard and not self.must_sign)
        wants = {
            "handed in": self.is_submitted and not self.is_cancelled,
            "standard change in force": not self.is_standard or self.is_in_force,
            "risk told": self.is_told or self.is_standard,
            "customer confirmed": has_customers_word or self.is_standard,
            "tested": is_quick or self._is_tested(),
            "backed up": self._is_backed_up(now) or (self.content.waives_backup and has_customers_word),
            "approved": self.is_standard or self._is_approved(),
            "procedure": not self.is_patch or self.has_procedure,
            "proven elsewhere": not self.is_patch or self._is_proven(),
            "in its window": self.is_emergency or (self.is_scheduled and starts <= now < ends),
            "not frozen": self.is_emergency or not self.is_frozen or self.is_overruled,
        }
        return [name for name, holds in wants.items() if not holds]

    def _is_tested(self) -> bool:
        """On what is no production today either; a failure stands until something passes."""
        if self.last_test is not None and not self.last_test[0]:
            return False
        if self.last_test is not None and self.environment[self.last_test[1]] == "test":
            return True
        return self.content.waives_test and self.is_signed

    def _is_backed_up(self, now: datetime) -> bool:
        """Each asset, or a file of what is changed; seven days old at most on the day of the work."""
        day = now if self.is_emergency or not self.is_scheduled else self.window[0]
        taken = [self.backups.get(name) for name in self.content.assets or (NOTHING,)]
        return all(at is not None and day - at <= BACKUP_LIFE for at in taken)

    def _is_proven(self) -> bool:
        """Production is what is called so today, or was when the customer was told; without instances: nowhere."""
        if not self.content.assets:
            return False
        names = self.content.assets
        if all(self.environment[name] == "test" and self.told.get(name, "test") == "test" for name in names):
            return True
        return self.is_proven and self.environment["spare"] == "test" and "spare" not in names

    def _is_approved(self) -> bool:
        """By as many of ours as its class wants, none of whom wrote it, and by the customer; an emergency by a
        manager."""
        if self.is_refused:
            return False
        ours = {one.name for one in self.approved_by if one.is_provider and one.name not in self.authors}
        theirs = [one for one in self.approved_by if one.is_customer_pm]
        if self.is_emergency:
            return any(one.is_manager and one.name in ours for one in self.approved_by)
        return len(ours) >= self.ours and bool(theirs)
