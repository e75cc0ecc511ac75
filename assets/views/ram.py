"""RAM of one cloud account: its users and groups with rights, keys and second factors, and what speaks against them."""

from collections.abc import Callable, Mapping
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.permissions import is_provider, person_of
from assets.models import CloudAccount, RamFinding, RamUser


@require_safe
def index(request: HttpRequest, pk: int) -> HttpResponse:
    account = get_object_or_404(CloudAccount.objects.select_related("customer"), pk=pk)
    if not is_provider(person_of(request)):
        raise PermissionDenied
    yes_no = (("True", _("yes")), ("False", _("no")))
    page = tables.page(
        request,
        account.ram_users.all(),
        sort={"name": "name", "login": "last_login_at", "created": "created_at"},
        default="name",
        search=["name", "display_name"],
        filters={
            "signs_in": tables.Choice(_("Signs in"), yes_no, "can_sign_in"),
            "mfa": tables.Choice(_("Second factor"), yes_no, "has_mfa"),
        },
        exports=True,
    )
    findings = list(account.ram_findings.filter(RamFinding.OPEN))
    against = [one for one in findings if one.flaw not in RamFinding.OF_GROUPS]
    if tables.wants_csv(request):
        return tables.export_csv(page.all(), _columns(against), f"ram-{account.account_uid}")
    by_user: dict[str, list[RamFinding]] = {}
    for finding in against:
        by_user.setdefault(finding.user, []).append(finding)
    context = {
        "account": account,
        "page": page,
        "rows": [(user, by_user.get(user.name, []), [_Key.read(key) for key in user.keys]) for user in page.rows],
        "findings": findings,
        "groups": account.ram_groups.all(),
        "bad_groups": {one.user for one in findings if one.flaw in RamFinding.OF_GROUPS},
        "now": timezone.now(),
    }
    return render(request, "assets/ram.html", context)


class _Key:
    """An AccessKey as the page shows it."""

    def __init__(self, key_id: str, *, is_active: bool, created_at: datetime | None, used_at: datetime | None) -> None:
        self.key_id, self.is_active, self.created_at, self.used_at = key_id, is_active, created_at, used_at

    @classmethod
    def read(cls, row: Mapping[str, object]) -> "_Key":
        created, used = str(row.get("created", "")), str(row.get("used", ""))
        return cls(
            str(row.get("id", "")),
            is_active=bool(row.get("active")),
            created_at=datetime.fromisoformat(created) if created else None,
            used_at=datetime.fromisoformat(used) if used else None,
        )


def _columns(findings: list[RamFinding]) -> dict[str, Callable[[RamUser], object]]:
    def against(user: RamUser) -> str:
        return "; ".join(f"{one.get_flaw_display()} {one.detail}".strip() for one in findings if one.user == user.name)

    return {
        _("RAM user"): lambda user: user.name,
        _("Display name"): lambda user: user.display_name,
        _("Signs in"): lambda user: user.can_sign_in,
        _("Second factor"): lambda user: user.has_mfa,
        _("Last sign-in"): lambda user: user.last_login_at,
        _("Groups"): lambda user: ", ".join(user.groups),
        _("Policies"): lambda user: ", ".join(policy["name"] for policy in user.policies),
        _("AccessKeys"): lambda user: ", ".join(key["id"] for key in user.keys),
        _("Findings"): against,
    }
