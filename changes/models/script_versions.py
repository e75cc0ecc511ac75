"""Versions of the scripts that may run on hosts, each approved by a second person."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import SharedManager, SharedModel, TenantQuerySet
from changes.catalogue import Field, Words, field_of
from changes.scripts import LONGEST_PATCH, Interpreter, Script, digest


class ScriptVersionQuerySet(TenantQuerySet["ScriptVersion"]):
    def approved(self) -> Self:
        return self.exclude(approved_at=None).filter(retired_at=None)

    def of(self, customer_id: int) -> Self:
        """What may be run for a customer: everybody's, and its own."""
        return self.filter(Q(customer=customer_id) | Q(customer=None))

    def meant(
        self, code: str, number: int | None, *, customer_id: int, told_at: datetime | None
    ) -> ScriptVersion | None:
        """A customer's own before everybody's, the newest that stood when the customer was told of it.

        One that was withdrawn since is still the one that is meant: no other takes its place.
        """
        rows = self.of(customer_id).filter(code=code)
        if told_at is None:
            rows = rows.approved()
        else:
            rows = rows.filter(Q(retired_at=None) | Q(retired_at__gt=told_at), approved_at__lte=told_at)
        if number is not None:
            rows = rows.filter(number=number)
        return rows.order_by(F("customer").asc(nulls_last=True), "-number").first()

    def joined(self) -> Self:
        return self.select_related("customer", "proposed_by", "approved_by", "retired_by")


class ScriptVersion(SharedModel):
    """One wording of a script, never changed: who wants another proposes the next version."""

    code = models.CharField(_("code"), max_length=40)
    number = models.PositiveIntegerField(_("version"))
    name_en = models.CharField(_("name in English"), max_length=120)
    name_zh = models.CharField(_("name in Chinese"), max_length=120)
    purpose = models.TextField(_("what it is for"), blank=True)
    interpreter = models.CharField(
        _("interpreter"), max_length=10, choices=[(one.value, one.value) for one in Interpreter]
    )
    body = models.TextField(_("body"))
    parameters: Any = models.JSONField(_("parameters"), default=list, blank=True)
    accounts: Any = models.JSONField(_("accounts it may use"), default=list)
    as_root = models.BooleanField(_("needs root"), default=False)
    only_reads = models.BooleanField(
        _("only reads"), default=False, help_text=_("It changes nothing on the host and may run without a change.")
    )
    patch = models.CharField(
        _("patch that it brings"),
        max_length=LONGEST_PATCH,
        blank=True,
        help_text=_("The gate of patches is shut for whatever brings one."),
    )
    timeout_s = models.PositiveIntegerField(_("time-out"), default=60)
    output_limit = models.PositiveIntegerField(_("output is cut after"), default=65_536)
    sha256 = models.CharField("SHA-256", max_length=64)
    proposed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(_("proposed at"))
    approved_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    approved_at = models.DateTimeField(_("approved at"), null=True, blank=True)
    retired_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True)

    objects: ClassVar = SharedManager.from_queryset(ScriptVersionQuerySet)()

    class Meta:
        ordering = ("code", "-number")
        verbose_name = _("script")
        verbose_name_plural = _("scripts")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "code", "number"), nulls_distinct=False, name="script_version_once"
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=models.F("proposed_by")),
                name="script_approved_by_a_second_person",
            ),
        )

    def __str__(self) -> str:
        return f"{self.code}@{self.number}"

    @property
    def words(self) -> Words:
        return Words(self.name_en, self.name_zh)

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(field_of(one) for one in self.parameters)

    @property
    def is_approved(self) -> bool:
        return self.approved_at is not None and self.retired_at is None

    @property
    def content(self) -> Script:
        return Script(
            interpreter=Interpreter(self.interpreter),
            body=self.body,
            parameters=tuple(self.parameters),
            accounts=frozenset(self.accounts),
            as_root=self.as_root,
            only_reads=self.only_reads,
            timeout_s=self.timeout_s,
            output_limit=self.output_limit,
            patch=self.patch,
        )

    @property
    def is_as_approved(self) -> bool:
        """The row still says what its digest was made of."""
        return digest(self.content) == self.sha256
