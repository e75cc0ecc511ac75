"""The knowledge base: articles, what they said before, the incidents they belong to, who found them helpful."""

from typing import ClassVar, Self

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils.translation import gettext_lazy as _

from accounts import scope
from accounts.models import Customer
from accounts.tenancy import ScopedManager, SharedManager, SharedModel, TenantModel, TenantQuerySet
from incidents import terms


class ArticleQuerySet(TenantQuerySet["Article"]):
    def published(self) -> Self:
        return self.filter(state=Article.State.PUBLISHED)

    def serving(self, customer: Customer) -> Self:
        """Those about everybody and those about this customer."""
        return self.filter(Q(customer=None) | Q(customer=customer))

    def matching(self, text: str, *, every: bool) -> Self:
        """With all terms of a text, or any of them; `rank` says how well. A text without terms finds nothing."""
        wanted = terms.query(text, every=every)
        if not wanted:
            return self.annotate(rank=Value(0.0)).filter(pk__in=[])
        asked = (F("search"), Value(wanted))
        hit = Func(*asked, template="(%(expressions)s::tsquery)", arg_joiner=" @@ ", output_field=models.BooleanField())
        rank = Func(*asked, template="ts_rank(%(expressions)s::tsquery)", output_field=models.FloatField())
        return self.filter(hit).annotate(rank=rank)

    def searched(self, text: str) -> Self:
        """What has every term; when nothing has, what has some."""
        exact = self.matching(text, every=True)
        return exact if exact.exists() else self.matching(text, every=False)


class ArticleManager(SharedManager["Article"]):
    """Articles in scope; a customer's people find what is published and meant for them, and nothing else."""

    def get_queryset(self) -> models.QuerySet["Article"]:
        rows = super().get_queryset()
        if scope.required().sees_internal:
            return rows
        return rows.filter(state=Article.State.PUBLISHED, visibility=Article.Visibility.CUSTOMERS)


class Article(SharedModel):
    """One article. Without a customer it is about all of them. The body is markdown, rendered by `incidents.prose`."""

    class Visibility(models.TextChoices):
        INTERNAL = "internal", _("Internal: the provider's own")
        CUSTOMERS = "customers", _("Customers read it, too")

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        PUBLISHED = "published", _("Published")
        RETIRED = "retired", _("Retired")

    title = models.CharField(_("title"), max_length=200)
    body = models.TextField(_("text"))
    tags = models.JSONField(_("tags"), default=list, blank=True)
    products = models.JSONField(_("products"), default=list, blank=True)
    visibility = models.CharField(_("who reads it"), max_length=20, choices=Visibility, default=Visibility.INTERNAL)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.DRAFT)
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(_("created at"))
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(_("changed at"))
    published_at = models.DateTimeField(_("published at"), null=True, blank=True)
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True)
    retired_reason = models.CharField(_("reason for retiring"), max_length=300, blank=True)
    helpful = models.PositiveIntegerField(_("helpful"), default=0)
    unhelpful = models.PositiveIntegerField(_("not helpful"), default=0)
    version = models.PositiveIntegerField(_("version"), default=1)
    search = SearchVectorField(editable=False, default="")
    rank: float
    """How well it matches: there only where the query asked for it (`ArticleQuerySet.matching`)."""

    objects: ClassVar = ArticleManager.from_queryset(ArticleQuerySet)()

    class Meta:
        ordering = ("-changed_at", "-pk")
        verbose_name = _("article")
        verbose_name_plural = _("articles")
        constraints = (
            models.CheckConstraint(condition=~Q(title=""), name="article_has_a_title"),
            models.CheckConstraint(
                condition=Q(state__in=("draft", "published", "retired")), name="article_state_known"
            ),
        )
        indexes = (
            GinIndex(fields=("search",), name="article_search"),
            models.Index(fields=("state", "-changed_at"), name="article_by_time"),
        )

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def number(self) -> str:
        return f"KB-{self.pk:05d}" if self.pk else "KB-"

    @property
    def is_published(self) -> bool:
        return self.state == self.State.PUBLISHED

    @property
    def is_for_every_customer(self) -> bool:
        return self.customer_id is None and self.visibility == self.Visibility.CUSTOMERS

    def indexed(self) -> str:
        """What `search` has to hold for what the article says now: the title weighs most."""
        names = " ".join([*self.tags, *self.products])
        return terms.vector((self.title, "A"), (names, "B"), (self.body, "D"))


class InternalManager(SharedManager["ArticleVersion"]):
    """Nothing where the scope does not reach what the provider keeps to itself."""

    def get_queryset(self) -> models.QuerySet["ArticleVersion"]:
        rows = super().get_queryset()
        return rows if scope.required().sees_internal else rows.none()


class ArticleVersion(SharedModel):
    """What an article said from one saving to the next. For the provider: an older one may have been internal."""

    APPEND_ONLY: ClassVar[bool] = True

    article = models.ForeignKey(Article, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    title = models.CharField(_("title"), max_length=200)
    body = models.TextField(_("text"))
    tags = models.JSONField(default=list)
    products = models.JSONField(default=list)
    visibility = models.CharField(max_length=20, choices=Article.Visibility)
    saved_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    saved_at = models.DateTimeField(_("saved at"))
    note = models.CharField(_("what changed"), max_length=200, blank=True)

    objects: ClassVar = InternalManager.from_queryset(TenantQuerySet)()

    class Meta:
        ordering = ("-number",)
        verbose_name = _("version of an article")
        verbose_name_plural = _("versions of articles")
        constraints = (models.UniqueConstraint(fields=("article", "number"), name="article_version_once"),)

    def __str__(self) -> str:
        return f"{self.article_id} v{self.number}"


class ArticleLink(TenantModel):
    """An article helps with an incident, or (`is_origin`) was written from it. The row is the incident's customer's."""

    article = models.ForeignKey(Article, on_delete=models.PROTECT, related_name="links")
    incident = models.ForeignKey("incidents.Incident", on_delete=models.CASCADE, related_name="article_links")
    is_origin = models.BooleanField(_("written from this incident"), default=False)
    linked_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    linked_at = models.DateTimeField(_("linked at"))

    objects: ClassVar = ScopedManager.from_queryset(TenantQuerySet)()

    class Meta:
        ordering = ("linked_at", "pk")
        verbose_name = _("link of an article")
        verbose_name_plural = _("links of articles")
        constraints = (models.UniqueConstraint(fields=("incident", "article"), name="article_linked_once"),)

    def __str__(self) -> str:
        return f"{self.article_id} → {self.incident_id}"


class ArticleVote(SharedModel):
    """One person's word on whether an article helped."""

    article = models.ForeignKey(Article, on_delete=models.CASCADE, related_name="votes")
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    is_helpful = models.BooleanField()
    voted_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("article", "user"), name="one_vote_per_person"),)
        verbose_name = _("vote")
        verbose_name_plural = _("votes")

    def __str__(self) -> str:
        return f"{self.user_id}: {self.is_helpful}"
