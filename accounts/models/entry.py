"""From where people may sign in, and how at the bastion: for a role of one side, or for one person."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models.people import CUSTOMER_ROLES, PROVIDER_ROLES, Role, User
from accounts.tenancy import TenantOrProviderModel


class EntryRule(TenantOrProviderModel):
    """A person's own rule holds in place of their role's. Without one, everybody may enter from everywhere."""

    role = models.CharField(_("role"), max_length=20, choices=Role, blank=True)
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", null=True, blank=True)
    ranges = models.JSONField(_("address ranges"), default=list, blank=True, help_text=_("Empty: from everywhere."))
    needs_key_and_code = models.BooleanField(
        _("SSH key and one-time code"),
        default=False,
        help_text=_("At the bastion's SSH door both are asked for; neither a password nor a ticket opens it."),
    )
    changed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(_("changed at"))

    class Meta:
        ordering = ("customer", "role", "person")
        verbose_name = _("rule of entry")
        verbose_name_plural = _("rules of entry")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "role"),
                condition=Q(person=None),
                nulls_distinct=False,
                name="one_entry_rule_per_role",
            ),
            models.UniqueConstraint(fields=("person",), name="one_entry_rule_per_person"),
            models.CheckConstraint(
                condition=Q(person__isnull=False, role="")
                | Q(person=None, role__in=CUSTOMER_ROLES, customer__isnull=False)
                | Q(person=None, role__in=PROVIDER_ROLES, customer=None),
                name="entry_rule_is_for_a_role_or_a_person",
            ),
        )

    def __str__(self) -> str:
        return self.person.name if self.person is not None else str(self.get_role_display())
