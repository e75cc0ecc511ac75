"""Who may do what with a report: plain questions over the table in `reports.states`."""

from accounts.models import User
from accounts.permissions import is_manager, is_provider
from reports import states
from reports.states import Rank, Verb


def rank_of(person: User) -> Rank:
    if not is_provider(person):
        return Rank.CUSTOMER
    return Rank.MANAGER if is_manager(person) else Rank.ENGINEER


def may_ever(person: User, verb: Verb) -> bool:
    return states.may_ever(verb, rank_of(person))
