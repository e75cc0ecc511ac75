from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BastionConfig(AppConfig):
    name = "bastion"
    verbose_name = _("Bastion")
