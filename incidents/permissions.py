"""Who may do what with an incident: plain questions over the table in `incidents.states`."""

from accounts.models import User
from accounts.permissions import can_write, is_manager, is_provider
from incidents import states
from incidents.models import Incident
from incidents.states import Side, Verb


def side_of(person: User | None) -> Side:
    """Which side presses; nobody is the platform itself."""
    if person is None:
        return Side.SYSTEM
    if is_provider(person):
        return Side.PROVIDER
    return Side.CUSTOMER if can_write(person) else Side.VIEWER


def may(person: User | None, verb: Verb, incident: Incident) -> bool:
    return states.find(verb, incident.stage, side_of(person), incident.step) is not None


def may_ever(person: User | None, verb: Verb) -> bool:
    return states.may_ever(verb, side_of(person))


def sees_internal(person: User) -> bool:
    """Internal notes are the provider's own: on pages, in the API, in exports and in search."""
    return is_provider(person)


def may_manage_ways_in(person: User) -> bool:
    """Ways in from outside, what came by them and the queue of unknown senders are the provider's work."""
    return is_provider(person)


def may_manage_way_in_of(person: User, customer_id: int | None) -> bool:
    """Those of the provider itself, which bring news of every customer, belong to its managers."""
    return is_manager(person) if customer_id is None else is_provider(person)
