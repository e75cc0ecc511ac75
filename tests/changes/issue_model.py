"""What has to be true before a change may begin, written from the issue and the contract alone.

Nothing of `changes.gates`, `changes.approval` or `changes.services` is asked here: the model hears which calls were
accepted, with who and when, and says what is still missing. Sources: the path in the issue (draft, risk told, customer
confirmed, tested, backed up, approved, scheduled, executing; emergencies with a review afterwards; nobody approves
alone what they asked for), annex 1, clause 5.2, and R82 to R93.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

BACKUP_LIFE: Final = timedelta(days=7)


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
    waives_test: bool = False
    waives_backup: bool = False


@dataclass(slots=True)
class Model:
    """One change of a medium risk, wanted by the customer on an incident of its own."""

    window: tuple[datetime, datetime]
    requester: str
    authors: set[str]
    content: Content = field(default_factory=Content)
    is_submitted: bool = False
    is_cancelled: bool = False
    is_emergency: bool = False
    is_told: bool = False
    is_signed: bool = False
    is_heard: bool = False
    last_test: bool | None = None
    backed_up_at: datetime | None = None
    approved_by: list[Person] = field(default_factory=list)
    is_refused: bool = False
    is_scheduled: bool = False
    is_frozen: bool = False
    is_overruled: bool = False

    def hear(self, call: str, person: Person, now: datetime) -> None:  # noqa: PLR0912 - one branch a call
        """A call was accepted."""
        match call:
            case "submit":
                self.is_submitted = True
            case "cancel":
                self.is_cancelled = True
            case "edit" | "waive":
                self._edit(Content("x", True, True) if call == "waive" else Content(f"at {now}"), person)
            case "emergency":
                assert person.is_manager, "only a service manager makes an emergency"
                if not self.is_emergency:
                    self.is_emergency, self.approved_by, self.is_refused = True, [], False
            case "risk":
                self.is_told, self.is_signed = True, False
            case "sign":
                assert person.is_customer_pm, "a named contact of the customer signs"
                self.is_signed = True
            case "hear":
                self.is_heard = True
            case "test" | "bad test":
                self.last_test = call == "test"
            case "backup":
                self.backed_up_at = now
            case "yes":
                assert person.is_customer_pm or person.name not in self.authors, "four eyes are four eyes"
                self.approved_by.append(person)
            case "no":
                self.is_refused = True
            case "ask again":
                self.approved_by, self.is_refused = [], False
            case "schedule":
                self.is_scheduled = True
            case "freeze":
                self.is_frozen = True
            case "overrule":
                assert person.is_manager, "a freeze is broken by a service manager"
                assert person.name not in self.authors, "and not by who wrote the change"
                self.is_overruled = True

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
        has_customers_word = self.is_signed or (self.is_emergency and self.is_heard)
        tested = self.last_test if self.last_test is not None else self.content.waives_test and self.is_signed
        reference = now if self.is_emergency else starts
        is_fresh = self.backed_up_at is not None and reference - self.backed_up_at <= BACKUP_LIFE
        waives_backup = self.content.waives_backup and has_customers_word
        wants = {
            "handed in": self.is_submitted and not self.is_cancelled,
            "risk told": self.is_told,
            "customer confirmed": has_customers_word,
            "tested": bool(tested) or self.is_emergency,
            "backed up": is_fresh or waives_backup,
            "approved": self._is_approved(),
            "in its window": self.is_emergency or (self.is_scheduled and starts <= now < ends),
            "not frozen": self.is_emergency or not self.is_frozen or self.is_overruled,
        }
        return [name for name, holds in wants.items() if not holds]

    def _is_approved(self) -> bool:
        """By one of ours who did not write it and, unless it is an emergency, by the customer too."""
        if self.is_refused:
            return False
        ours = [one for one in self.approved_by if one.is_provider and one.name not in self.authors]
        theirs = [one for one in self.approved_by if one.is_customer_pm]
        if self.is_emergency:
            return any(one.is_manager for one in ours)
        return bool(ours) and bool(theirs)
