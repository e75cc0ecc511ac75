"""How assets and cloud accounts look: icons, colours, and questions of permission."""

from collections.abc import Mapping
from datetime import datetime

from django import template
from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext_lazy

from accounts.models import User
from assets import permissions
from assets.account_standard import Deviation, Fault
from assets.models import Access, Asset, Check, CloudAccount, Credential, CredentialKind, Kind, SyncRun, SyncStep

register = template.Library()


@register.filter
def detail(value: object) -> str:
    """What a cloud says of a resource, on one line."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


_ICONS: Mapping[str, str] = {
    Kind.ECS: "server", Kind.RDS: "database", Kind.SLB: "arrows-split", Kind.REDIS: "bolt",
    Kind.MEMCACHE: "bolt", Kind.MONGODB: "leaf",
    Kind.OSS: "bucket", Kind.CDN: "world-share", Kind.DRDS: "database-share", Kind.ELASTICSEARCH: "search",
    Kind.SERVER: "server-2", Kind.DATABASE: "database", Kind.MIDDLEWARE: "stack-2", Kind.URL: "world-www",
    SyncStep.RAM: "users", Kind.PORT: "plug-connected", Kind.LOAD_BALANCER: "arrows-split-2",
}  # fmt: skip
_STATUS_TONES = {"running": "success", "pending": "info", "stopped": "secondary", "locked": "danger"}
_ACCESS_TONES = {Access.READ_ONLY: "success", Access.WRITES: "danger", Access.UNKNOWN: "warning"}
_ACCOUNT_TONES = {
    CloudAccount.State.WORKING: "success", CloudAccount.State.FAILING: "warning", CloudAccount.State.REFUSED: "danger",
}  # fmt: skip
_RUN_TONES = {
    SyncRun.State.DONE: "success", SyncRun.State.PARTIAL: "warning", SyncRun.State.FAILED: "danger",
    SyncRun.State.RUNNING: "info",
}  # fmt: skip


_CREDENTIAL_ICONS = {
    CredentialKind.HOST: "user-cog", CredentialKind.DATABASE: "database", CredentialKind.KEY_PAIR: "key",
    CredentialKind.CONSOLE: "browser", CredentialKind.ACCESS_KEY: "api",
}  # fmt: skip
_CHECK_TONES = {
    Check.NEVER: "secondary", Check.WORKS: "success", Check.REFUSED: "danger", Check.UNREACHABLE: "warning",
}  # fmt: skip
_FAULTS = {
    Fault.MISSING: gettext_lazy("%(name)s is missing"),
    Fault.OTHER_NAME: gettext_lazy("%(name)s is called %(instead)s"),
    Fault.WITHOUT_SUDO: gettext_lazy("%(name)s may not use sudo"),
    Fault.WITH_SUDO: gettext_lazy("%(name)s may use sudo"),
    Fault.SUDO_UNKNOWN: gettext_lazy("%(name)s: it is not known whether it may use sudo"),
    Fault.EXTRA_SUDO: gettext_lazy("%(name)s may use sudo and is not in the standard"),
}


_ACTIONS = {
    "credential.add": gettext_lazy("written down"),
    "credential.change": gettext_lazy("changed"),
    "credential.check": gettext_lazy("checked"),
    "credential.retire": gettext_lazy("retired"),
    "credential.ask_reveal": gettext_lazy("asked to see the secret"),
    "credential.ask_unmark": gettext_lazy("asked that it be an administrator login no longer"),
    "credential.decide_unmark": gettext_lazy("decided whether it stays an administrator login"),
    "credential.decide_reveal": gettext_lazy("decided on showing the secret"),
    "secret.set": gettext_lazy("secret put into the vault"),
    "secret.use": gettext_lazy("secret used by the platform"),
    "secret.reveal": gettext_lazy("secret shown"),
    "secret.drop": gettext_lazy("secret destroyed"),
}


@register.filter
def credential_action(action: str) -> str:
    """What the audit log has about a credential, in words; the log's own name of what has none."""
    return str(_ACTIONS.get(action, action))


@register.filter
def credential_icon(kind: str) -> str:
    return _CREDENTIAL_ICONS.get(CredentialKind(kind), "key")


@register.filter
def check_tone(state: str) -> str:
    return _CHECK_TONES.get(Check(state), "secondary")


@register.filter
def age_days(credential: Credential, now: datetime) -> int | None:
    age = credential.age(now)
    return None if age is None else max(0, age.days)


@register.filter
def rotation_is_due(credential: Credential, now: datetime) -> bool:
    return credential.is_due(now)


@register.filter
def says(deviation: Deviation) -> str:
    return _FAULTS[deviation.fault] % {"name": deviation.name, "instead": deviation.instead}


@register.filter
def kind_icon(kind: str) -> str:
    return _ICONS.get(kind, "box")


@register.filter
def status_tone(status: str) -> str:
    return _STATUS_TONES.get(status, "secondary")


@register.filter
def access_tone(access: str) -> str:
    return _ACCESS_TONES.get(Access(access), "secondary")


@register.filter
def account_tone(state: str) -> str:
    return _ACCOUNT_TONES.get(CloudAccount.State(state), "secondary")


@register.filter
def run_tone(state: str) -> str:
    return _RUN_TONES.get(SyncRun.State(state), "secondary")


@register.filter
def expires_soon(asset: Asset, now: datetime) -> bool:
    return asset.expires_soon(now)


@register.filter
def is_over(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now


@register.filter
def key_age_days(account: CloudAccount, now: datetime) -> int | None:
    age = account.key_age(now)
    return None if age is None else age.days


@register.filter
def key_is_old(account: CloudAccount, now: datetime) -> bool:
    return account.key_is_old(now)


@register.filter
def can_edit_assets(person: User | AnonymousUser) -> bool:
    return isinstance(person, User) and permissions.can_edit_assets(person)


@register.filter
def can_edit_owner(person: User | AnonymousUser) -> bool:
    return isinstance(person, User) and permissions.can_edit_owner(person)


@register.filter
def can_manage_accounts(person: User | AnonymousUser) -> bool:
    return isinstance(person, User) and permissions.can_manage_accounts(person)


@register.filter
def can_manage_credentials(person: User | AnonymousUser) -> bool:
    return isinstance(person, User) and permissions.can_manage_credentials(person)
