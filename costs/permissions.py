"""Who may do what about cost, as plain questions about a person."""

from accounts.models import User
from accounts.permissions import is_manager, is_provider
from costs.services.anomalies import may_explain, may_set_threshold
from costs.services.deciding import may
from costs.states import Verb, verbs

__all__ = ["may", "may_explain", "may_issue", "may_propose", "may_set_threshold", "offered"]


def may_issue(person: User) -> bool:
    """Closing a month by hand."""
    return is_manager(person)


def may_propose(person: User) -> bool:
    return is_provider(person)


def offered(person: User, state: str) -> list[Verb]:
    """What this person may do with a proposal in this state."""
    return [verb for verb in verbs(state) if may(person, verb)]
