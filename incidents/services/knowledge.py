"""Articles of the knowledge base: written, changed, published, retired, linked to incidents, and judged."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_manager, require_write
from incidents import terms
from incidents.models import Article, ArticleLink, ArticleVersion, ArticleVote, Incident

LONGEST: Final = 60_000
MOST_NAMES: Final = 12
SUGGESTED: Final = 5
GOOD_ENOUGH: Final = 0.05
"""Of `ts_rank`: below it an article shares a common word with the incident and nothing else."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What an article says; `customer` None: it is about every customer."""

    title: str
    body: str
    visibility: str
    customer: Customer | None
    tags: Sequence[str] = ()
    products: Sequence[str] = ()


def may_edit(person: User, article: Article) -> bool:
    """The provider's people; what every customer reads is changed by service managers."""
    if not person.is_provider:
        return False
    return is_manager(person) or not (article.is_published and article.is_for_every_customer)


def may_publish(person: User, article: Article) -> bool:
    return person.is_provider and (is_manager(person) or not article.is_for_every_customer)


@transaction.atomic
def write(*, draft: Draft, actor: User, now: datetime, incident: Incident | None = None) -> Article:
    """A new article, as a draft; `incident` is the one whose solution it was written from."""
    if not actor.is_provider:
        raise PermissionDenied
    article = Article(created_by=actor, created_at=now, changed_by=actor, changed_at=now)
    _fill(article, draft)
    with _writing(article):
        article.save(force_insert=True)
        _keep_version(article, "", actor, now)
    audit.record(action="article.write", actor=actor, customer=article.customer, obj=article, now=now)
    if incident is not None:
        link(article=article, incident=incident, actor=actor, now=now, is_origin=True)
    return article


@transaction.atomic
def change(
    *, article: Article, draft: Draft, actor: User, now: datetime, note: str = "", version: int | None = None
) -> Article:
    """Save a changed article as its next version; what it said before stays readable for the provider."""
    if not may_edit(actor, article):
        raise PermissionDenied
    with _writing(article):
        article = _hold(article)
        if version is not None and version != article.version:
            raise DomainError(
                _("Somebody else changed %(number)s meanwhile. Nothing was overwritten: look at it again, then decide.")
                % {"number": article.number},
                code="changed_meanwhile",
            )
    owner = article.customer
    _fill(article, draft)
    if article.is_published and not may_publish(actor, article):
        raise DomainError(
            _("Only a service manager shows an article to every customer. Nothing was saved: retire it first, or ask."),
            code="not_yours",
        )
    _check_links(article)
    article.version += 1
    article.changed_by, article.changed_at = actor, now
    with scope.platform("an article may move from one customer to all"):
        article.save()
        _keep_version(article, note, actor, now)
    detail = {"version": article.version, "from": owner and owner.pk, "to": article.customer_id, "note": note}
    audit.record(action="article.change", actor=actor, customer=article.customer, obj=article, detail=detail, now=now)
    return article


@transaction.atomic
def publish(*, article: Article, actor: User, now: datetime) -> Article:
    """From now on whoever it is meant for finds it. What is for every customer takes a service manager."""
    if not actor.is_provider:
        raise PermissionDenied
    if not may_publish(actor, article):
        raise DomainError(
            _("Only a service manager shows an article to every customer. It stays a draft: ask one."), code="not_yours"
        )
    with _writing(article):
        article = _hold(article)
        if article.is_published:
            return article
        article.state, article.published_at = Article.State.PUBLISHED, now
        article.retired_at, article.retired_reason = None, ""
        article.save()
    audit.record(action="article.publish", actor=actor, customer=article.customer, obj=article, now=now)
    return article


@transaction.atomic
def retire(*, article: Article, reason: str, actor: User, now: datetime) -> Article:
    """It no longer holds: nobody is shown it by itself any more; links keep it readable for the provider."""
    if not may_edit(actor, article):
        raise PermissionDenied
    reason = " ".join(reason.split())[:300]
    if not reason:
        raise DomainError(_("Please say why it no longer holds."), code="text_missing")
    with _writing(article):
        article = _hold(article)
        article.state, article.retired_at, article.retired_reason = Article.State.RETIRED, now, reason
        article.save()
    detail = {"reason": reason}
    audit.record(action="article.retire", actor=actor, customer=article.customer, obj=article, detail=detail, now=now)
    return article


@transaction.atomic
def vote(*, article: Article, is_helpful: bool, actor: User, now: datetime) -> Article:
    """One word per person; saying the other thing changes it."""
    require_write(actor)
    with scope.platform("votes on articles for every customer"):
        article = _hold(article)
        ArticleVote.objects.update_or_create(
            article=article,
            user=actor,
            defaults={"is_helpful": is_helpful, "voted_at": now, "customer_id": actor.customer_id},
        )
        votes = list(ArticleVote.objects.filter(article=article).values_list("is_helpful", flat=True))
        article.helpful, article.unhelpful = votes.count(True), votes.count(False)
        article.save(update_fields=["helpful", "unhelpful"])
    return article


@transaction.atomic
def link(*, article: Article, incident: Incident, actor: User, now: datetime, is_origin: bool = False) -> ArticleLink:
    """Say that an article helps with an incident. Doing it twice changes nothing."""
    if not actor.is_provider:
        raise PermissionDenied
    if article.customer_id not in (None, incident.customer_id):
        raise DomainError(_("This article is about another customer."), code="foreign")
    made, created = ArticleLink.objects.get_or_create(
        customer_id=incident.customer_id,
        incident=incident,
        article=article,
        defaults={"is_origin": is_origin, "linked_by": actor, "linked_at": now},
    )
    if created:
        detail = {"article": article.pk}
        audit.record(
            action="article.link", actor=actor, customer=incident.customer, obj=incident, detail=detail, now=now
        )
    return made


@transaction.atomic
def unlink(*, article: Article, incident: Incident, actor: User, now: datetime) -> None:
    if not actor.is_provider:
        raise PermissionDenied
    deleted, _rows = ArticleLink.objects.filter(incident=incident, article=article).delete()
    if deleted:
        detail = {"article": article.pk}
        audit.record(
            action="article.unlink", actor=actor, customer=incident.customer, obj=incident, detail=detail, now=now
        )


def linked(incident: Incident) -> list[ArticleLink]:
    """The links of an incident whose article is in reach, those it gave rise to first."""
    links = ArticleLink.objects.filter(incident=incident, article__in=Article.objects.all()).select_related("article")
    return sorted(links, key=lambda each: (not each.is_origin, each.linked_at))


def suggested(incident: Incident, *, but: Sequence[int] = ()) -> list[Article]:
    """Published articles that resemble an incident by title, products of its assets and tags; the best first."""
    products = {name for asset in incident.assets.all() for name in (asset.product, asset.kind, asset.engine) if name}
    about = " ".join([incident.title, *sorted(products)])
    rows = Article.objects.published().serving(incident.customer).matching(about, every=False)
    found = rows.exclude(pk__in=but).defer("body", "search").order_by(F("rank").desc(), "-helpful", "-pk")[:SUGGESTED]
    return [article for article in found if article.rank > GOOD_ENOUGH]


def from_incident(incident: Incident) -> Draft:
    """What an article about an incident may begin with: its words, and the products it touched."""
    sections = (
        (_("Symptom"), incident.description),
        (_("Cause"), incident.get_cause_display()),
        (_("Solution"), incident.resolution),
    )
    body = "\n\n".join(f"## {heading}\n\n{text.strip()}" for heading, text in sections)
    products = [asset.product or asset.kind for asset in incident.assets.all()]
    return Draft(
        title=incident.title,
        body=body,
        visibility=Article.Visibility.INTERNAL,
        customer=incident.customer,
        tags=[incident.category],
        products=terms.words(products),
    )


def _fill(article: Article, draft: Draft) -> None:
    title, body = " ".join(draft.title.split())[:200], draft.body.strip()
    if not title or not body:
        raise DomainError(_("An article needs a title and a text."), code="text_missing")
    if len(body) > LONGEST:
        raise DomainError(_("This is too long. Nothing was saved: please make two articles of it."), code="too_long")
    article.title, article.body, article.customer = title, body, draft.customer
    article.visibility = Article.Visibility(draft.visibility)
    article.tags, article.products = terms.words(draft.tags)[:MOST_NAMES], terms.words(draft.products)[:MOST_NAMES]
    article.search = article.indexed()


def _keep_version(article: Article, note: str, actor: User, now: datetime) -> None:
    ArticleVersion.objects.create(
        customer_id=article.customer_id,
        article=article,
        number=article.version,
        title=article.title,
        body=article.body,
        tags=article.tags,
        products=article.products,
        visibility=article.visibility,
        saved_by=actor,
        saved_at=now,
        note=note[:200],
    )


def _check_links(article: Article) -> None:
    """An article about one customer must not hang on an incident of another."""
    if article.customer_id is None:
        return
    with scope.platform("links of an article, whoever's incidents they are"):
        foreign = ArticleLink.objects.filter(article=article).exclude(customer_id=article.customer_id)
        if foreign.exists():
            raise DomainError(
                _("It is linked to incidents of other customers. Nothing was saved: take those links away first."),
                code="foreign",
            )


def _hold(article: Article) -> Article:
    audit.hold(article.customer_id)
    return Article.objects.select_for_update(no_key=True, of=("self",)).select_related("customer").get(pk=article.pk)


def _writing(article: Article) -> AbstractContextManager[scope.Scope]:
    """Rows of every customer are written by the platform alone (`accounts.row_security`)."""
    if article.customer_id is None:
        return scope.platform("an article about every customer")
    return scope.entered(scope.required())
