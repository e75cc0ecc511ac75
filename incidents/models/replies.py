"""Replies that engineers send again and again, and the filters that a person keeps."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts.tenancy import ScopedManager, TenantOrProviderModel, TenantQuerySet


class CannedReplyQuerySet(TenantQuerySet["CannedReply"]):
    def for_customer(self, customer_id: int) -> Self:
        """Those for this customer and those for everybody."""
        return self.filter(Q(customer_id=customer_id) | Q(customer_id=None))


class CannedReply(TenantOrProviderModel):
    """A text of the provider for one customer or, without one, for all; `{number}` and the like are filled in."""

    name = models.CharField(_("name"), max_length=80)
    body = models.TextField(_("text"))
    is_internal = models.BooleanField(_("internal note"), default=False)
    changed_at = models.DateTimeField(_("changed at"))
    history = HistoricalRecords()

    objects: ClassVar = ScopedManager.from_queryset(CannedReplyQuerySet)()

    class Meta:
        ordering = ("name", "pk")
        verbose_name = _("canned reply")
        verbose_name_plural = _("canned replies")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "name"),
                name="canned_reply_name_once",
                nulls_distinct=False,
                violation_error_message=_("There is a reply of this name already."),
            ),
            models.CheckConstraint(condition=~Q(body="") & ~Q(name=""), name="canned_reply_says_something"),
        )

    def __str__(self) -> str:
        return self.name


class SavedFilter(TenantOrProviderModel):
    """How one person wants to look at the board or the list: a query string of ours under a name of theirs."""

    class Place(models.TextChoices):
        BOARD = "board", _("Board")
        LIST = "list", _("Incidents")

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="saved_filters")
    place = models.CharField(_("page"), max_length=10, choices=Place)
    name = models.CharField(_("name"), max_length=40)
    query = models.CharField(max_length=500)

    class Meta:
        ordering = ("name", "pk")
        verbose_name = _("saved filter")
        verbose_name_plural = _("saved filters")
        constraints = (models.UniqueConstraint(fields=("user", "place", "name"), name="saved_filter_name_once"),)

    def __str__(self) -> str:
        return self.name
