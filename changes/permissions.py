"""Who may do what with a change: plain questions over the table in `changes.states`."""

from accounts.models import User
from accounts.permissions import can_write, is_manager, is_provider
from changes import states
from changes.models import Change
from changes.states import Side, Verb


def side_of(person: User | None) -> Side:
    """Which side presses; nobody is the platform itself."""
    if person is None:
        return Side.SYSTEM
    if is_provider(person):
        return Side.PROVIDER
    return Side.CUSTOMER if can_write(person) else Side.VIEWER


def may(person: User | None, verb: Verb, change: Change) -> bool:
    return states.find(verb, change.stage, side_of(person)) is not None


def may_ever(person: User | None, verb: Verb) -> bool:
    return states.may_ever(verb, side_of(person))


def may_keep_windows(person: User, customer_id: int | None) -> bool:
    """Freezes and maintenance windows: of all customers a manager's, of one customer every engineer's of it."""
    return is_manager(person) if customer_id is None else is_provider(person)


def may_overrule(person: User) -> bool:
    """A freeze is broken, and an emergency reviewed, by a service manager."""
    return is_manager(person)
