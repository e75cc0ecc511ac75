"""What people enter about groups, grants, requests, tickets, rules and host keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import time
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.forms.calendars import WEEKDAYS
from accounts.models import User
from accounts.windows import Weekly, WindowError, as_json, from_json
from assets.models import Asset
from bastion.access import Protocol
from bastion.gateway.contract import Action
from bastion.models import CommandRule, Grant, ResourceGroup
from bastion.models.groups import LONGEST_IDLE, LONGEST_TOTAL, SHORTEST_IDLE, SHORTEST_TOTAL
from bastion.models.recordings import LARGEST_COPY_MB
from bastion.services import requesting
from bastion.services.granting import ZONE, Wanted
from bastion.services.regimes import Said
from bastion.words import ACTIONS, GRANTED, PROTOCOLS
from changes.forms import moment_field

WEEKS: Final = 3
"""So many weekly windows can be entered."""
MINUTES: Final = (
    (15, _("15 minutes")),
    (30, _("30 minutes")),
    (60, _("1 hour")),
    (120, _("2 hours")),
    (240, _("4 hours")),
    (480, _("8 hours")),
    (1440, _("1 day")),
)
ASKED: Final = [(action, ACTIONS[action]) for action in Action if action in requesting.ASKED_FOR - {Action.CONNECT}]


def _time(**options: Any) -> forms.TimeField:
    return forms.TimeField(required=False, widget=forms.TimeInput({"type": "time"}, format="%H:%M"), **options)


def _ranges_field(**options: Any) -> forms.CharField:
    """The addresses of a network, as people write them."""
    look = {"class": "font-monospace", "spellcheck": "false", "placeholder": "10.20.0.0/16"}
    return forms.CharField(
        label=_("Address ranges"), max_length=2000, required=False, widget=forms.TextInput(look), **options
    )


class GroupForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=80)
    description = forms.CharField(label=_("Description"), max_length=300, required=False)


class NewGroupForm(GroupForm):
    ranges = _ranges_field(
        help_text=_(
            "For a network that no cloud describes, such as a server room: this is its default group, and whatever has "
            "an address there joins by itself. Empty: an ordinary group."
        )
    )


class GroupSettingsForm(GroupForm):
    idle_minutes = forms.IntegerField(
        label=_("End a session after so many minutes without a key"),
        required=False,
        min_value=SHORTEST_IDLE,
        max_value=LONGEST_IDLE,
        help_text=_("Empty: 30. Where a resource is in several groups, the shortest counts."),
    )
    total_minutes = forms.IntegerField(
        label=_("End a session after so many minutes in any case"),
        required=False,
        min_value=SHORTEST_TOTAL,
        max_value=LONGEST_TOTAL,
        help_text=_("Empty: 720, which is 12 hours. Where a resource is in several groups, the shortest counts."),
    )
    copies_mb = forms.IntegerField(
        label=_("Keep copies of files up to"),
        required=False,
        min_value=0,
        max_value=LARGEST_COPY_MB,
        help_text=_("Megabytes. Empty: as set for the customer. Of several groups the largest counts."),
    )
    ranges = _ranges_field(help_text=_("What no cloud describes and has an address there joins by itself."))
    trusts_first_sight = forms.BooleanField(
        label=_("Accept host keys at first sight"),
        required=False,
        help_text=_("Otherwise nobody gets in before an administrator has confirmed the server's key."),
    )

    def __init__(self, *args: Any, group: ResourceGroup, **options: Any) -> None:
        first = {name: getattr(group, name) for name in self.base_fields}
        options["initial"] = first | {"ranges": ", ".join(group.ranges)}
        super().__init__(*args, **options)
        if group.kind != ResourceGroup.Kind.NETWORK:
            del self.fields["ranges"]

    def wanted(self) -> dict[str, Any]:
        given = dict(self.cleaned_data)
        return {"limits": Said(**{name: given.pop(name) for name in asdict(Said())}), **given}


class PersonForm(forms.Form):
    person: forms.ModelChoiceField[User] = forms.ModelChoiceField(None, label=_("Person"), empty_label="—")

    def __init__(self, *args: Any, people: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["person"].queryset = people  # type: ignore[attr-defined]  # a choice of rows


class TermsForm(forms.Form):
    """What a grant allows, and when."""

    actions = forms.TypedMultipleChoiceField(
        label=_("What may be done"),
        choices=list(ACTIONS.items()),
        coerce=Action,
        widget=forms.CheckboxSelectMultiple,
        initial=[Action.CONNECT],
        help_text=_(
            "Upload and download hold for SFTP, scp and rsync. What a shell can show or take in, whoever may connect "
            "can carry that way; it is recorded."
        ),
    )
    protocols = forms.TypedMultipleChoiceField(
        label=_("By which protocol"),
        choices=[(one, PROTOCOLS[one]) for one in GRANTED],
        coerce=Protocol,
        widget=forms.CheckboxSelectMultiple,
        initial=[Protocol.SSH],
    )
    accounts = forms.CharField(
        label=_("Accounts on the server"),
        max_length=500,
        required=False,
        help_text=_(
            "Several with commas. Empty: all accounts of the person's side. With +own they may type a user name and "
            "password of their own."
        ),
    )
    needs_consent = forms.BooleanField(
        label=_("Somebody lets each session in"),
        required=False,
        help_text=_("The person waits at the door until an administrator, or the group's, says yes to this very one."),
    )
    forwards = forms.CharField(
        label=_("Destinations of port forwarding"),
        max_length=1000,
        required=False,
        help_text=_(
            "host:port, network/bits:port or *:port; several with commas. The server's own loopback is reached only if "
            "it is named: localhost:* lets VS Code work remotely."
        ),
    )
    since = moment_field(label=_("From"), required=False, help_text=_("Empty: from now."))
    until = moment_field(label=_("Until"), required=False, help_text=_("Empty: until it is taken back."))
    reason = forms.CharField(label=_("Reason"), max_length=300, required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for number in range(1, WEEKS + 1):
            self.fields[f"days_{number}"] = forms.TypedMultipleChoiceField(
                label=_("Every week on"),
                choices=list(enumerate(WEEKDAYS)),
                coerce=int,
                required=False,
                widget=forms.CheckboxSelectMultiple,
            )
            self.fields[f"begins_{number}"] = _time(label=_("from"))
            self.fields[f"ends_{number}"] = _time(label=_("to"))

    @property
    def weeks(self) -> list[tuple[forms.BoundField, forms.BoundField, forms.BoundField]]:
        return [(self[f"days_{one}"], self[f"begins_{one}"], self[f"ends_{one}"]) for one in range(1, WEEKS + 1)]

    @property
    def has_more_weeks(self) -> bool:
        """The second or third is in use, so they are shown open."""
        return any(self[f"days_{number}"].value() for number in range(2, WEEKS + 1))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["windows"] = [row for number in range(1, WEEKS + 1) for row in self._week(cleaned, number)]
        return cleaned

    def wanted(self) -> Wanted:
        given = self.cleaned_data
        return Wanted(
            actions=frozenset(given["actions"]),
            protocols=frozenset(given["protocols"]),
            accounts=tuple(_listed(given["accounts"])),
            since=given["since"],
            until=given["until"],
            windows=given["windows"],
            reason=given["reason"],
            forwards=tuple(_listed(given["forwards"])),
            needs_consent=given["needs_consent"],
        )

    def _week(self, cleaned: dict[str, Any], number: int) -> list[dict[str, object]]:
        days, begins, ends = (cleaned.get(f"{name}_{number}") for name in ("days", "begins", "ends"))
        if not days and begins is None and ends is None:
            return []
        if not days or begins is None or ends is None:
            self.add_error(f"days_{number}", _("Every week: please name days, and from when to when."))
            return []
        try:
            window = Weekly(frozenset(days), _plain(begins), _plain(ends), ZoneInfo(ZONE))
        except WindowError:
            self.add_error(f"days_{number}", _("The window ends after it begins."))
            return []
        return [as_json(window)]


class GrantForm(TermsForm):
    """To whom and for what; `places` are the groups and servers of one customer that somebody may grant."""

    person: forms.ModelChoiceField[User] = forms.ModelChoiceField(None, label=_("Person"), empty_label="—")
    group: forms.ModelChoiceField[ResourceGroup] = forms.ModelChoiceField(
        None, label=_("Resource group"), required=False, empty_label="—"
    )
    asset: forms.ModelChoiceField[Asset] = forms.ModelChoiceField(
        None, label=_("or one resource"), required=False, empty_label="—"
    )

    def __init__(self, *args: Any, people: Any, groups: Any, assets: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, rows in (("person", people), ("group", groups), ("asset", assets)):
            self.fields[name].queryset = rows  # type: ignore[attr-defined]  # a choice of rows
        if assets is None:
            del self.fields["asset"]
            self.fields["group"].required = True

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        places = [one for one in (cleaned.get("group"), cleaned.get("asset")) if one is not None]
        if len(places) != 1 and not self.errors:
            self.add_error("group", _("Please choose a group or one resource, not both."))
        cleaned["to"] = places[0] if len(places) == 1 else None
        return cleaned


def fits(grant: Grant) -> bool:
    """Whether the form can show all of its hours: what it cannot show it would lose."""
    try:
        windows = from_json(grant.windows, grant.timezone)
    except (ValueError, KeyError, TypeError):
        return False
    return len(windows) <= WEEKS and all(isinstance(one, Weekly) for one in windows)


def terms_of(grant: Grant) -> dict[str, object]:
    """What a form of this grant begins with."""
    first: dict[str, object] = {
        "actions": grant.actions,
        "protocols": grant.protocols,
        "accounts": ", ".join(grant.accounts),
        "forwards": ", ".join(grant.forwards),
        "since": grant.since,
        "until": grant.until,
        "reason": grant.reason,
        "needs_consent": grant.needs_consent,
    }
    weekly = [one for one in from_json(grant.windows, grant.timezone) if isinstance(one, Weekly)]
    for number, window in enumerate(weekly[:WEEKS], 1):
        first |= {
            f"days_{number}": sorted(window.days), f"begins_{number}": window.start, f"ends_{number}": window.end,
        }  # fmt: skip
    return first


class RequestForm(forms.Form):
    account = forms.ChoiceField(label=_("Account"))
    minutes = forms.TypedChoiceField(label=_("For how long"), choices=MINUTES, coerce=int, initial=60)
    actions = forms.TypedMultipleChoiceField(
        label=_("Besides a terminal"),
        choices=ASKED,
        coerce=Action,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        widget=forms.Textarea({"rows": 2}),
        help_text=_("Whoever decides reads it. Name the incident or change if there is one."),
    )

    def __init__(self, *args: Any, accounts: Sequence[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["account"].choices = [(name, name) for name in accounts]  # type: ignore[attr-defined]


class DecisionForm(forms.Form):
    words = forms.CharField(label=_("Remark"), max_length=300, required=False, widget=forms.Textarea({"rows": 2}))


class RequestDecisionForm(DecisionForm):
    minutes = forms.TypedChoiceField(label=_("For how long"), coerce=int, required=False, empty_value=None)

    def __init__(self, *args: Any, asked: int, **options: Any) -> None:
        super().__init__(*args, **options)
        shorter = [(minutes, label) for minutes, label in MINUTES if minutes < asked]
        self.fields["minutes"].choices = [("", _("As asked")), *shorter]  # type: ignore[attr-defined]


class TicketForm(forms.Form):
    account = forms.ChoiceField(label=_("Account"))
    work = forms.CharField(label=_("What do you work on?"), max_length=300, required=False)

    def __init__(
        self, *args: Any, accounts: Iterable[str], offers: Sequence[tuple[str, str]], is_needed: bool, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.fields["account"].choices = [(name, name) for name in accounts]  # type: ignore[attr-defined]
        work = self.fields["work"]
        work.required = is_needed
        self.offers = offers
        if offers:
            work.widget.attrs["list"] = "work-offers"
        work.help_text = _("An open incident, a change of this resource, or the reason.")


class RuleForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=120)
    pattern = forms.CharField(
        label=_("Pattern"),
        max_length=1000,
        strip=False,
        widget=forms.TextInput({"class": "font-monospace", "spellcheck": "false", "autocapitalize": "off"}),
        help_text=_("An RE2 expression that is looked for in each command of a line, sudo and the like taken off."),
    )
    verdict = forms.ChoiceField(
        label=_("What happens"), choices=CommandRule.Verdict.choices, initial=CommandRule.Verdict.DENY
    )
    words = forms.CharField(
        label=_("Words for the person"),
        max_length=300,
        required=False,
        help_text=_("Empty: the usual sentence, in the person's language."),
    )
    group: forms.ModelChoiceField[ResourceGroup] = forms.ModelChoiceField(
        None, label=_("Resource group"), required=False, empty_label=_("All resources")
    )
    is_on = forms.BooleanField(label=pgettext_lazy("command rule", "In force"), required=False, initial=True)

    def __init__(self, *args: Any, groups: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["group"].queryset = groups  # type: ignore[attr-defined]  # a choice of rows


class TryForm(forms.Form):
    line = forms.CharField(
        label=_("Command line"),
        max_length=10_000,
        widget=forms.Textarea({"rows": 2, "class": "font-monospace", "spellcheck": "false"}),
    )
    group: forms.ModelChoiceField[ResourceGroup] = forms.ModelChoiceField(
        None, label=_("Resource group"), required=False, empty_label=_("In no group")
    )

    def __init__(self, *args: Any, groups: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["group"].queryset = groups  # type: ignore[attr-defined]  # a choice of rows


def _listed(text: str) -> list[str]:
    parts = text.replace("，", ",").replace("\n", ",").split(",")
    return [*dict.fromkeys(part.strip() for part in parts if part.strip())]


def _plain(moment: time) -> time:
    return moment.replace(second=0, microsecond=0)
