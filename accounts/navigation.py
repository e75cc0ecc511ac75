"""The menu: which places a person sees, by role. Places are URL names: this floor needs to know no other app."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import User
from accounts.permissions import can_write, is_admin, is_administrator, is_customer_pm, is_manager, is_provider

Allowed = Callable[[User], bool]


def is_customer(person: User) -> bool:
    return not is_provider(person)


def keeps_people(person: User) -> bool:
    return is_manager(person) or is_customer_pm(person)


def everybody(_person: User) -> bool:
    return True


@dataclass(frozen=True)
class Place:
    route: str
    label: str | Promise
    icon: str
    allowed: Allowed = everybody
    go: str = ""
    key: str = ""
    short: str | Promise = ""
    """For the thumb's bar on a phone, where the label is too long for a fifth of the screen."""


@dataclass(frozen=True)
class Group:
    label: str | Promise
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Item:
    url: str
    label: str | Promise
    icon: str
    go: str
    key: str
    short: str | Promise
    active: bool = False


@dataclass(frozen=True)
class Section:
    label: str | Promise
    items: tuple[Item, ...]


MENU = (
    Group(
        "",
        (
            Place("home", _("Home"), "home", is_customer, "home", "h"),
            Place("incidents:board", _("Board"), "layout-kanban", is_provider, "board", "b"),
            Place("incidents:list", _("Incidents"), "urgent", everybody, "incidents", "i"),
            Place(
                "incidents:requests", _("Service requests"), "clipboard-list", short=pgettext_lazy("menu", "Requests")
            ),
            Place("changes:list", _("Changes"), "git-pull-request"),
            Place("monitoring:alerts", _("Alerts"), "bell-ringing", everybody, "alerts", "a"),
            Place("assets:list", _("Assets"), "server-2", everybody, "assets", "s"),
            Place("incidents:follow-ups", _("Follow-ups"), "checklist"),
            Place("reports:service", _("Service reports"), "report-analytics"),
            Place("reports:accidents", _("Accident reports"), "report-medical"),
            Place("incidents:knowledge", _("Knowledge base"), "books"),
            Place("incidents:announcements", _("Announcements"), "speakerphone", everybody),
            Place("accounts:contract", _("Contract and contacts"), "file-certificate", is_customer),
        ),
    ),
    Group(
        _("Monitoring"),
        (
            Place("monitoring:wall", _("Overview wall"), "grid-dots", everybody, "wall", "w"),
            Place("monitoring:dashboards", _("Dashboards"), "layout-dashboard"),
            Place("monitoring:silences", _("Silences"), "bell-off"),
            Place("monitoring:outlook", _("Predicted full"), "trending-up"),
            Place("monitoring:events", _("Events"), "calendar-event"),
            Place("monitoring:expiry", _("What expires"), "hourglass"),
            Place("monitoring:sites", _("Websites"), "world-www", everybody),
            Place("monitoring:targets", _("Monitored targets"), "radar-2", is_provider),
            Place("monitoring:rules", _("Alert rules"), "adjustments-alt"),
            Place("monitoring:history", _("History of samples"), "database"),
        ),
    ),
    Group(
        _("Service"),
        (
            Place("incidents:sla", _("Service levels"), "gauge"),
            Place("reports:promises", _("Promises kept"), "certificate"),
            Place("changes:catalogue", _("Service catalogue"), "category"),
            Place("changes:approvals", _("Approvals"), "gavel", can_write),
            Place("changes:calendar", _("Calendar of changes"), "calendar-time"),
            Place("changes:windows", _("Freezes"), "snowflake"),
            Place("changes:standard", _("Standard changes"), "repeat"),
            Place("changes:duties", _("Recurring duties"), "calendar-repeat"),
            Place("changes:restores", _("Restores"), "restore"),
            Place("changes:ports", _("Closed ports"), "door-off"),
            Place("changes:transfers", _("Transfers of ownership"), "door-exit", can_write),
            Place("changes:scripts", _("Scripts on hosts"), "terminal-2", is_provider),
            Place("changes:trail", _("Audit trail"), "eye-search"),
            Place("costs:index", _("Cost"), "coin-yuan"),
            Place("accounts:customers", _("Customers"), "building-skyscraper", is_provider, "customers", "c"),
            Place("accounts:roster", _("On-call roster"), "calendar-user", is_provider),
            Place("incidents:escalation", _("Escalation"), "stairs-up", is_provider),
            Place("incidents:desk", _("Service desk number"), "phone-call", is_provider),
            Place("assets:cloud_accounts", _("Cloud accounts"), "cloud-lock", is_provider),
            Place("assets:credentials", _("Credentials"), "key", is_provider),
            Place("notify:channels", _("Robots and channels"), "robot", can_write),
            Place("incidents:sources", _("Ways in"), "login-2", is_provider),
            Place("notify:policies", _("Notification policy"), "bell-cog", can_write),
            Place("accounts:calendars", _("Business calendars"), "calendar-month", is_provider),
        ),
    ),
    Group(
        pgettext_lazy("menu", "Bastion"),
        (
            Place("bastion:connect", pgettext_lazy("bastion", "Connect"), "plug-connected", can_write),
            Place("bastion:sessions", pgettext_lazy("bastion", "Sessions"), "terminal", can_write),
            Place("bastion:requests", _("Access requests"), "hand-stop", can_write),
            Place("bastion:reviews", pgettext_lazy("bastion", "Reviews"), "gavel", can_write),
            Place("bastion:groups", _("Resource groups"), "folders", can_write),
            Place("bastion:grants", _("Grants"), "lock-access", can_write),
            Place("bastion:rules", _("Command rules"), "shield-code", is_administrator),
            Place("bastion:host-keys", _("Host keys"), "fingerprint", keeps_people),
            Place("bastion:hardening", _("Hardening"), "shield-check"),
            Place("bastion:direct-logins", _("Direct log-ins"), "door-enter"),
            Place("bastion:nodes", _("Nodes"), "topology-star", is_admin),
        ),
    ),
    Group(
        _("Records"),
        (
            Place("incidents:attestations", _("Signatures"), "signature"),
            Place("incidents:faults", _("Faults"), "gavel"),
            Place("incidents:violations", _("Violations"), "flag-exclamation"),
            Place("incidents:causes", _("Causes at the customer"), "target-arrow"),
        ),
    ),
    Group(
        _("Administration"),
        (
            Place("accounts:users", _("Users"), "users", keeps_people),
            Place("accounts:entry_rules", _("Who may enter"), "world-check", is_administrator),
            Place("notify:outlets", _("Calls and SMS"), "phone-outgoing", is_manager),
            Place("monitoring:platform", _("Platform status"), "heart-rate-monitor", is_manager),
            Place("accounts:audit", _("Audit log"), "list-check", is_manager),
            Place("notify:siem", _("Audit log to a SIEM"), "send", is_administrator),
        ),
    ),
)


def menu(person: User, path: str) -> list[Section]:
    """What one person sees; the place whose address is the longest beginning of `path` is the active one."""
    sections = [(group.label, [item for place in group.places if (item := _item(place, person))]) for group in MENU]
    here = max(
        (item.url for _, items in sections for item in items if path.startswith(item.url) and item.url != "/"),
        key=len,
        default="/" if path == "/" else "",
    )
    return [
        Section(
            label,
            tuple(replace(item, active=item.url == here) for item in items),
        )
        for label, items in sections
        if items
    ]


def _item(place: Place, person: User) -> Item | None:
    if not place.allowed(person):
        return None
    return Item(reverse(place.route), place.label, place.icon, place.go, place.key, place.short or place.label)
