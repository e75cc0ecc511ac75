"""How content the customer is with one incident's solution."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel

BEST = 5


class Satisfaction(TenantModel):
    """One score per incident, with words; whoever of the customer gave it last stands behind it."""

    incident = models.OneToOneField("incidents.Incident", on_delete=models.CASCADE, related_name="satisfaction")
    score = models.PositiveSmallIntegerField(_("score"), validators=[MinValueValidator(1), MaxValueValidator(BEST)])
    words = models.TextField(_("in words"), blank=True)
    given_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    given_at = models.DateTimeField(_("given at"))
    changed_at = models.DateTimeField(_("changed at"), null=True, blank=True)

    class Meta:
        verbose_name = _("satisfaction")
        verbose_name_plural = _("satisfaction")
        constraints = (
            models.CheckConstraint(condition=Q(score__gte=1) & Q(score__lte=BEST), name="score_is_one_to_five"),
        )
        indexes = (models.Index(fields=("customer", "given_at"), name="satisfaction_by_time"),)

    def __str__(self) -> str:
        return f"{self.score}/{BEST}"
