"""What every page needs from Python: times in China Standard Time, clocks, links of lists, role questions, the menu."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django import template
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, FileInput, RadioSelect, Select, Textarea
from django.template import Context
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from accounts import navigation as menu_module
from accounts import permissions, phones
from accounts.models import User
from accounts.tables import Page, ShownChoice

register = template.Library()

AMBER = timedelta(minutes=5)
AMBER_AT_MOST = timedelta(hours=1)


@dataclass(frozen=True)
class Clock:
    state: str
    label: str
    figure: str


@dataclass(frozen=True)
class SortLink:
    url: str
    direction: str


@dataclass(frozen=True)
class Emergency:
    name: str
    phone: str
    email: str


@register.filter
def masked(number: str) -> str:
    return phones.masked(number)


# --- times ---------------------------------------------------------------------------------------------------------


@register.filter
def iso(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat()


@register.filter
def localtime_full(moment: datetime | None) -> str:
    return "" if moment is None else timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S")


@register.filter
def localtime_short(moment: datetime | None) -> str:
    """`11-22 09:56`, with the year when it is not this one."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    same_year = local.year == timezone.localtime().year
    return local.strftime("%m-%d %H:%M" if same_year else "%Y-%m-%d %H:%M")


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """A `<time>` that says how long ago, with the exact time as its tooltip; ago.js keeps it true."""
    if moment is None:
        return ""
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        moment.isoformat(),
        localtime_full(moment),
        _relative(moment, timezone.now()),
    )


def _relative(moment: datetime, now: datetime) -> str:
    seconds = abs((now - moment).total_seconds())
    past = moment <= now
    if seconds < 60:
        return _("just now") if past else _("in a moment")
    if seconds < 3600:
        count = int(seconds // 60)
        return (
            ngettext("%(count)d minute ago", "%(count)d minutes ago", count)
            if past
            else ngettext("in %(count)d minute", "in %(count)d minutes", count)
        ) % {"count": count}
    if seconds < 86400:
        count = int(seconds // 3600)
        return (
            ngettext("%(count)d hour ago", "%(count)d hours ago", count)
            if past
            else ngettext("in %(count)d hour", "in %(count)d hours", count)
        ) % {"count": count}
    if seconds < 14 * 86400:
        count = int(seconds // 86400)
        return (
            ngettext("%(count)d day ago", "%(count)d days ago", count)
            if past
            else ngettext("in %(count)d day", "in %(count)d days", count)
        ) % {"count": count}
    return localtime_short(moment)


@register.filter
def duration(minutes: int | None) -> str:
    """Minutes of a contract as people say them: 15 minutes, 24 hours, 2 days."""
    if minutes is None:
        return "—"
    count = int(minutes)
    if count and count % 1440 == 0 and count > 1440:
        days = count // 1440
        return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}
    if count and count % 60 == 0:
        hours = count // 60
        return ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
    return ngettext("%(count)d minute", "%(count)d minutes", count) % {"count": count}


def clock(
    due_at: datetime,
    started_at: datetime | str | None = None,
    stopped_at: datetime | str | None = None,
    breached: bool | str | None = False,
) -> Clock:
    """A deadline as the page first shows it; countdown.js goes on from there by the same rules."""
    stopped = stopped_at or None
    at = stopped if isinstance(stopped, datetime) else timezone.now()
    left = due_at - at
    late = bool(breached) or left < timedelta(0)
    if late:
        state = "late"
    else:
        amber = min((due_at - started_at) / 3, AMBER_AT_MOST) if isinstance(started_at, datetime) else AMBER
        state = "soon" if left <= amber else "ok"
    if stopped:
        label = pgettext("time", "over") if late else pgettext("time", "spare")
        return Clock("stopped-late" if late else "stopped", label, _span(left))
    return Clock(state, pgettext("time", "over") if late else pgettext("time", "left"), _span(left))


@register.simple_tag
def countdown(
    due_at: datetime | str | None,
    started_at: datetime | str | None = None,
    stopped_at: datetime | str | None = None,
    breached: bool | str | None = False,
    large: bool | str | None = False,
) -> SafeString | str:
    """The clock of a deadline; nothing without one. Built here and not by a template: a board has fifty of them."""
    if not isinstance(due_at, datetime):
        return ""
    face = clock(due_at, started_at, stopped_at, breached)
    marks = {
        "data-started-at": started_at.isoformat() if isinstance(started_at, datetime) else "",
        "data-stopped-at": stopped_at.isoformat() if isinstance(stopped_at, datetime) else "",
        "data-breached": "1" if breached else "",
    }
    return format_html(
        '<span class="countdown{}" data-countdown data-due-at="{}"{} data-state="{}" title="{} {}">'
        '<span class="countdown-label" data-countdown-label>{}</span><span data-countdown-figure>{}</span></span>',
        " countdown-lg" if large else "",
        due_at.isoformat(),
        format_html_join("", ' {}="{}"', ((name, value) for name, value in marks.items() if value)),
        face.state,
        _("Due"),
        localtime_full(due_at),
        face.label,
        face.figure,
    )


def _span(left: timedelta) -> str:
    total = int(abs(left.total_seconds()))
    days, rest = divmod(total, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    if days:
        unit = pgettext("days", "d")
        return f"{days} {unit} {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


@register.filter
def filesize_iec(size: int | float | None) -> str:
    if size is None:
        return ""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


@register.filter
def browser(user_agent: str) -> str:
    """`Chrome · Windows` out of a User-Agent header; the header itself when it is none that we know."""
    programs: tuple[tuple[str, str], ...] = (
        ("Edg/", "Edge"),
        ("MicroMessenger", "微信"),
        ("DingTalk", "钉钉"),
        ("Firefox/", "Firefox"),
    )
    programs += (("Chrome/", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl"))
    systems: tuple[tuple[str, str], ...] = (
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
    )
    systems += (("Mac OS", "macOS"), ("Linux", "Linux"))
    known = [next((name for mark, name in marks if mark in user_agent), "") for marks in (programs, systems)]
    return " · ".join(filter(None, known)) or user_agent[:80]


# --- lists ---------------------------------------------------------------------------------------------------------


@register.simple_tag
def sort_link(page: Page[User], key: str) -> SortLink:
    """The head of a column: sorts by it, and the other way round when it does already."""
    mine = page.sort == key
    direction = ("descending" if page.descending else "ascending") if mine else ""
    return SortLink(page.url(sort=f"-{key}" if direction == "ascending" else key, page=None), direction)


@register.filter
def options(choice: ShownChoice) -> SafeString:
    """The options of a filter. Built here and not by a template: there may be as many as there are customers."""
    selected = mark_safe(" selected")
    rows = ((value, selected if value == choice.value else "", text) for value, text in choice.options)
    return format_html_join("", '<option value="{}"{}>{}</option>', rows)


@register.filter
def page_url(page: Page[User], number: int) -> str:
    return page.url(page=number)


# --- forms ---------------------------------------------------------------------------------------------------------


@register.filter
def is_checkbox(field: BoundField) -> bool:
    return isinstance(field.field.widget, CheckboxInput)


@register.filter
def is_choice_list(field: BoundField) -> bool:
    """Several boxes of which each has a label of its own."""
    return isinstance(field.field.widget, CheckboxSelectMultiple | RadioSelect)


@register.filter
def styled(field: BoundField) -> SafeString:
    """The field's widget with Tabler's class and the marks that screen readers need."""
    widget = field.field.widget
    if is_choice_list(field):
        return _choice_list(field)
    if isinstance(widget, CheckboxInput):
        kind = "form-check-input"
    elif isinstance(widget, Select):
        kind = "form-select"
    else:
        kind = "form-control"
    attrs: dict[str, str | bool] = {
        "class": f"{widget.attrs.get('class', '')} {kind}{' is-invalid' if field.errors else ''}".strip()
    }
    if isinstance(widget, Textarea) and "rows" not in widget.attrs:
        attrs["rows"] = "4"
    if isinstance(widget, FileInput):
        attrs["class"] = str(attrs["class"]).replace("form-select", "form-control")
    return field.as_widget(attrs=attrs)


def _choice_list(field: BoundField) -> SafeString:
    """Every box beside its own words, side by side as far as there is room. The legend around it names the list."""
    for box in field.subwidgets:
        box.data["attrs"]["class"] = "form-check-input"
    boxes = ((box.tag(), box.choice_label) for box in field.subwidgets)
    label = '<label class="form-check">{}<span class="form-check-label">{}</span></label>'
    return format_html('<div class="choices">{}</div>', format_html_join("", label, boxes))


# --- people --------------------------------------------------------------------------------------------------------


def _asks(question: str) -> None:
    predicate = getattr(permissions, question)

    def answer(person: User | AnonymousUser) -> bool:
        return isinstance(person, User) and bool(predicate(person))

    register.filter(question, answer)


for _question in ("is_provider", "is_manager", "is_admin", "is_customer_pm", "can_write", "can_manage_contacts"):
    _asks(_question)


@register.simple_tag(takes_context=True)
def navigation(context: Context) -> list[menu_module.Section]:
    request = context.get("request")
    user = getattr(request, "user", None)
    if request is None or not isinstance(user, User) or second_factor_missing(context):
        return []
    return menu_module.menu(user, str(context.get("menu_path") or request.path))


@register.simple_tag(takes_context=True)
def second_factor_missing(context: Context) -> bool:
    """True on the sign-in pages of a person who may go nowhere else yet (`accounts.middleware`)."""
    return bool(getattr(context.get("request"), "second_factor_missing", False))


@register.simple_tag
def emergency_contact() -> Emergency:
    """The card that stands on every page (R130); name, number and address are settings."""
    return Emergency(settings.EMERGENCY_NAME, settings.EMERGENCY_PHONE, settings.EMERGENCY_EMAIL)
