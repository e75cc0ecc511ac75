"""What the provider's people keep to work faster: canned replies for all of them, filters each for themselves."""

from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from incidents.models import CannedReply, SavedFilter

MOST_FILTERS = 20
NOT_KEPT = ("page", "export", "filter")
OWN = "one's own filters"
REPLIES = "replies for every customer belong to none"


def replies_for(person: User, customer_id: int) -> QuerySet[CannedReply]:
    """What this person may answer a customer with; to be read inside `scope.platform`."""
    _provider_only(person)
    rows: QuerySet[CannedReply] = CannedReply.objects.for_customer(customer_id)
    return rows


@transaction.atomic
def keep_reply(
    *,
    reply: CannedReply | None,
    name: str,
    body: str,
    customer: Customer | None,
    is_internal: bool,
    actor: User,
    now: datetime,
) -> CannedReply:
    """Add a reply or change one. Raises DomainError when there is another of its name."""
    _provider_only(actor)
    with scope.platform(REPLIES):
        kept = reply or CannedReply()
        kept.name, kept.body, kept.customer, kept.is_internal = name.strip(), body.strip(), customer, is_internal
        kept.changed_at = now
        try:
            with transaction.atomic():
                kept.save()
        except IntegrityError:
            raise DomainError(_("There is a reply of this name already. Nothing was saved."), code="taken") from None
        audit.record(action="reply.keep", actor=actor, customer=customer, obj=kept, detail={"name": name}, now=now)
    return kept


@transaction.atomic
def remove_reply(*, reply: CannedReply, actor: User, now: datetime) -> None:
    _provider_only(actor)
    with scope.platform(REPLIES):
        detail = {"name": reply.name, "body": reply.body}
        audit.record(action="reply.remove", actor=actor, customer=reply.customer, obj=reply, detail=detail, now=now)
        reply.delete()


def filters_of(person: User, place: str) -> list[SavedFilter]:
    with scope.platform(OWN):
        return list(SavedFilter.objects.filter(user=person, place=place))


@transaction.atomic
def save_filter(*, person: User, place: str, name: str, query: str, allowed: frozenset[str]) -> SavedFilter:
    """Keep what of `query` the page understands; the same name again replaces it."""
    name = " ".join(name.split())[:40]
    if not name:
        raise DomainError(_("Please give the filter a name."), code="name_missing")
    kept = QueryDict(mutable=True)
    for key, values in QueryDict(query[:2000]).lists():
        if key in allowed and key not in NOT_KEPT and any(values):
            kept.setlist(key, [value for value in values if value])
    text = kept.urlencode()
    if not text:
        raise DomainError(_("Choose something in the filter first, then save it."), code="empty")
    if len(text) > 500:
        raise DomainError(_("This filter is too long to be kept."), code="too_long")
    with scope.platform(OWN):
        mine = SavedFilter.objects.filter(user=person, place=place)
        if not mine.filter(name=name).exists() and mine.count() >= MOST_FILTERS:
            raise DomainError(_("At most %(count)d filters are kept: remove one first.") % {"count": MOST_FILTERS})
        saved, _created = SavedFilter.objects.update_or_create(
            user=person, place=place, name=name, defaults={"query": text, "customer": person.customer}
        )
    return saved


def remove_filter(*, person: User, filter_id: int) -> bool:
    """Whether there was one of this person's to remove."""
    with scope.platform(OWN):
        return bool(SavedFilter.objects.filter(user=person, pk=filter_id).delete()[0])


def _provider_only(person: User) -> None:
    if not person.is_provider:
        raise PermissionDenied
