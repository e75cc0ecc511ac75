"""What is wrong with the RAM users and groups of an account. Pure: what RAM says goes in, findings come out.

Sources: SOW 附件一 2.2 (one AdministratorAccess for the provider, one read-only key), §2.1 表 (MFA on), R124, R125.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

KEY_AGE = timedelta(days=90)
KEY_UNUSED = timedelta(days=90)
ADMINISTRATOR = "AdministratorAccess"


class Flaw(StrEnum):
    NO_MFA = "no_mfa"
    OLD_KEY = "old_key"
    UNUSED_KEY = "unused_key"
    ADMINISTRATOR_PERSON = "administrator_person"
    READING_KEY_WRITES = "reading_key_writes"
    EMPTY_GROUP = "empty_group"
    """Rights that nobody needs: whoever is put into the group has them at once."""


@dataclass(frozen=True)
class Key:
    key_id: str
    is_active: bool
    created_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class Person:
    """`can_sign_in` and `has_mfa` None: RAM did not let us see it, so nothing is said about it."""

    name: str
    can_sign_in: bool | None
    has_mfa: bool | None
    policies: Sequence[str]
    keys: Sequence[Key]


@dataclass(frozen=True)
class Group:
    name: str
    members: Sequence[str]
    policies: Sequence[str]


@dataclass(frozen=True)
class Found:
    flaw: Flaw
    user: str
    """Or the group, where the finding is about one."""
    detail: str = ""


def find(
    people: Iterable[Person],
    groups: Iterable[Group],
    *,
    console_user: str,
    key_user: str,
    key_writes: Sequence[str],
    now: datetime,
) -> tuple[Found, ...]:
    """`console_user` is the provider's own administrator, whom the SOW asks for; `key_writes` what the reading key may
    write."""
    found: list[Found] = []
    for person in people:
        if person.can_sign_in and person.has_mfa is False:
            found.append(Found(Flaw.NO_MFA, person.name))
        if person.can_sign_in and ADMINISTRATOR in person.policies and person.name != console_user:
            found.append(Found(Flaw.ADMINISTRATOR_PERSON, person.name))
        for key in person.keys:
            found += _of_key(person.name, key, now)
    found += [
        Found(Flaw.EMPTY_GROUP, group.name, ", ".join(group.policies))
        for group in groups
        if group.policies and not group.members
    ]
    if key_writes:
        found.append(Found(Flaw.READING_KEY_WRITES, key_user, ", ".join(key_writes)))
    return tuple(found)


def _of_key(user: str, key: Key, now: datetime) -> list[Found]:
    """A disabled key can do nothing, however old it is."""
    if not key.is_active or key.created_at is None:
        return []
    found = []
    if now - key.created_at > KEY_AGE:
        found.append(Found(Flaw.OLD_KEY, user, key.key_id))
    if now - (key.last_used_at or key.created_at) > KEY_UNUSED:
        found.append(Found(Flaw.UNUSED_KEY, user, key.key_id))
    return found
