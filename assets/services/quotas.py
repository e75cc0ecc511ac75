"""How much of the contract's quotas a customer uses (R7, R8). Nothing is dropped on excess: it is shown and warned."""

from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from accounts.services.customers import contract_in_force
from assets.facts import QUOTA_DATABASES
from assets.models import Asset, Kind


@dataclass(frozen=True)
class QuotaUse:
    """`limit` None is unlimited."""

    code: str
    label: str | Promise
    used: int
    limit: int | None
    kind: str  # of the assets that count, for a link to them

    @property
    def is_exceeded(self) -> bool:
        return self.limit is not None and self.used > self.limit

    @property
    def percent(self) -> int:
        return 0 if not self.limit else min(100, round(100 * self.used / self.limit))


def quota_use(customer: Customer) -> list[QuotaUse]:
    """Middleware instances, URLs and ports. The SOW's list of middleware names MySQL, MongoDB and Redis as well, so
    self-built databases of these kinds count; each instance counts, five Tomcats are five."""
    contract = contract_in_force(customer, timezone.localdate())
    assets = Asset.objects.active().manual().filter(customer=customer)
    middleware = Q(kind=Kind.MIDDLEWARE) | Q(kind=Kind.DATABASE, product__in=QUOTA_DATABASES)
    urls, ports = assets.filter(kind=Kind.URL), assets.filter(kind=Kind.PORT)
    limits = (contract.middleware_quota, contract.url_quota, contract.port_quota) if contract else (None, None, None)
    return [
        QuotaUse(
            "middleware", _("Middleware instances"), assets.filter(middleware).count(), limits[0], Kind.MIDDLEWARE
        ),
        QuotaUse("url", _("Monitored URLs"), urls.count(), limits[1], Kind.URL),
        QuotaUse("port", _("Monitored ports"), ports.count(), limits[2], Kind.PORT),
    ]
