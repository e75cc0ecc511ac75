"""What reaches single people: the provider's telephone and SMS account, and the browsers that asked to be pushed."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts.models import User
from accounts.tenancy import TenantOrProviderModel


class OutletSettings(TenantOrProviderModel):
    """The one row of the provider's account at Alibaba Cloud for calls and SMS, and of its key for Web Push.

    AccessKey and the private key for push (VAPID) are secrets of the vault and stand in no column here.
    """

    voice_is_on = models.BooleanField(_("make calls"), default=False)
    show_number = models.CharField(
        _("number shown"),
        max_length=20,
        blank=True,
        help_text=_("A number bought for this account (dedicated mode). Empty: one of Alibaba Cloud's shared numbers."),
    )
    tts_code = models.CharField(_("voice template"), max_length=40, blank=True)
    ivr_start_code = models.CharField(
        _("voice template with a key to press"),
        max_length=40,
        blank=True,
        help_text=_("With it the called person acknowledges by pressing 1. It needs a number of your own."),
    )
    ivr_bye_code = models.CharField(_("voice template for goodbye"), max_length=40, blank=True)
    sms_is_on = models.BooleanField(_("send SMS"), default=False)
    sms_sign = models.CharField(_("SMS signature"), max_length=40, blank=True)
    sms_code = models.CharField(_("SMS template"), max_length=40, blank=True)
    endpoint_override = models.CharField(_("other address of the API"), max_length=200, blank=True)
    receipts_key = models.PositiveIntegerField(default=1, editable=False)  # counted up, receipts have other addresses
    push_key = models.CharField(max_length=120, blank=True, editable=False)  # the public half: browsers are given it
    changed_at = models.DateTimeField(_("changed at"), null=True, blank=True, editable=False)
    history = HistoricalRecords()

    class Meta:
        verbose_name = _("telephone and SMS")
        verbose_name_plural = _("telephone and SMS")
        constraints = (
            models.UniqueConstraint(fields=("customer",), name="outlets_are_set_once", nulls_distinct=False),
        )

    def __str__(self) -> str:
        return str(_("telephone and SMS"))

    @property
    def takes_keys(self) -> bool:
        """Calls offer to press 1."""
        return bool(self.ivr_start_code and self.ivr_bye_code and self.show_number)

    @property
    def can_call(self) -> bool:
        return self.voice_is_on and (bool(self.tts_code) or self.takes_keys)

    @property
    def can_text(self) -> bool:
        return self.sms_is_on and bool(self.sms_sign) and bool(self.sms_code)


class PushDevice(TenantOrProviderModel):
    """A browser in which a person wants push messages (a subscription of RFC 8030)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="push_devices")
    name = models.CharField(_("device"), max_length=80)
    endpoint = models.CharField(max_length=1000, unique=True)
    p256dh = models.CharField(max_length=100)
    auth = models.CharField(max_length=40)
    added_at = models.DateTimeField(_("added at"))
    reached_at = models.DateTimeField(_("last reached at"), null=True, blank=True)
    last_code = models.CharField(_("last answer"), max_length=40, blank=True)

    class Meta:
        ordering = ("-added_at", "-pk")
        verbose_name = _("device")
        verbose_name_plural = _("devices")

    def __str__(self) -> str:
        return self.name
