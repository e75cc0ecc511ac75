"""Who may do what about cost, as plain questions about a person."""

from accounts.models import User
from accounts.permissions import can_write, is_customer_pm, is_manager, is_provider
from costs.states import Verb, verbs


def may(person: User, verb: Verb) -> bool:
    """The customer's project managers decide on a proposal; the provider's people do it."""
    return is_provider(person) if verb is Verb.FINISH else is_customer_pm(person)


def may_explain(person: User) -> bool:
    """Both sides may know why a day was dear: everybody but the customer's readers."""
    return can_write(person)


def may_issue(person: User) -> bool:
    """Closing a month by hand."""
    return is_manager(person)


def may_propose(person: User) -> bool:
    return is_provider(person)


def may_set_threshold(person: User) -> bool:
    return is_provider(person) or is_customer_pm(person)


def offered(person: User, state: str) -> list[Verb]:
    """What this person may do with a proposal in this state."""
    return [verb for verb in verbs(state) if may(person, verb)]
