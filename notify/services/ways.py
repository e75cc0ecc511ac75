"""Which ways reach a person at all: their number, their devices, and what the provider has set up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from django.utils.translation import gettext as _

from accounts import phones, scope
from accounts.models import User
from notify import outlets
from notify.models import PushDevice

PUSHED, CALLED = "push", frozenset({"sms", "voice"})
NOT_SET_UP = "not set up"


class Told(Protocol):
    """Whom to tell, by what, and at which number instead of their own."""

    @property
    def user(self) -> User: ...

    @property
    def channels(self) -> Sequence[str]: ...

    @property
    def number(self) -> str: ...


@dataclass(frozen=True)
class Ways:
    """What is known about the ways to some people, read once for all of them."""

    ready: outlets.Readiness
    with_device: frozenset[int]

    def number(self, note: Told, medium: str) -> str:
        """The number as it is dialled; "" when there is none or the medium needs none."""
        if medium == "voice":
            return phones.can_be_called(note.number or note.user.phone)
        return phones.can_be_texted(note.number or note.user.phone) if medium == "sms" else ""

    def obstacle(self, note: Told, medium: str) -> str:
        """Why this medium cannot reach the person; "" when it can."""
        if medium in CALLED:
            if not (self.ready.voice if medium == "voice" else self.ready.sms):
                return NOT_SET_UP
            return "" if self.number(note, medium) else "no number"
        return "no device" if medium == PUSHED and self.lacks_device(note) else ""

    def lacks_device(self, note: Told) -> bool:
        """Whether a push message to this person would reach no device."""
        return PUSHED in note.channels and note.user.pk not in self.with_device


def obstacle_words(code: str) -> str:
    """Why a way cannot reach a person, in words; "" when it can."""
    words = {
        NOT_SET_UP: _("it is not set up"),
        "no number": _("the person has no number that can be dialled"),
        "no device": _("the person has no device that takes push messages"),
    }
    return words.get(code, code)


def ways_to(notes: Sequence[Told]) -> Ways:
    """Two queries at most, whatever the number of people."""
    wanted = {medium for note in notes for medium in note.channels}
    ready = outlets.readiness() if wanted & CALLED else outlets.Readiness(voice=False, sms=False)
    devices = frozenset[int]()
    if PUSHED in wanted:
        people = {note.user.pk for note in notes if PUSHED in note.channels}
        with scope.platform("who has a device that takes push messages"):
            devices = frozenset(PushDevice.objects.filter(user__in=people).values_list("user_id", flat=True))
    return Ways(ready, devices)
