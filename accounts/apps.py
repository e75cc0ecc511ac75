from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Customers and people")

    def ready(self) -> None:
        from allauth.mfa.totp.internal.auth import TOTP  # noqa: PLC0415 - needs the models, which are there now

        from accounts.signin import mark_code_used  # noqa: PLC0415 - so does this

        TOTP._mark_code_used = mark_code_used
