"""What went wrong with a run and what stands in its log, as sentences in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes.models.runs import RunLine

PROBLEMS: Final[Mapping[str, str | Promise]] = {
    "not_there": gettext_lazy("The cloud account has nothing by this name."),
    "wrong_status": gettext_lazy("Its state does not allow this."),
    "no_disks": gettext_lazy("It has no disk."),
    "name_taken": gettext_lazy("The name is taken."),
    "disk_in_use": gettext_lazy("The disk is not free."),
    "other_zone": gettext_lazy("The disk is in another zone."),
    "no_size": gettext_lazy("The size is missing."),
    "not_its_disk": gettext_lazy("The disk is not attached to this instance."),
    "not_larger": gettext_lazy("A disk only becomes larger."),
    "is_so_already": gettext_lazy("It is so already."),
    "no_spec": gettext_lazy("The cloud has no such instance type."),
    "not_offered": gettext_lazy("The cloud does not change this instance to that type."),
    "sold_out": gettext_lazy("That instance type is sold out in the instance's zone."),
    "must_stop": gettext_lazy("It runs, and the change does not allow a restart."),
    "needs_restart": gettext_lazy("The parameter takes a restart, and the change does not allow one."),
    "rule_there": gettext_lazy("The security group has this rule already."),
    "rule_not_there": gettext_lazy("The security group has no such rule."),
    "not_its_group": gettext_lazy("The instance is not in this security group."),
    "servers_there": gettext_lazy("The servers are behind the load balancer already."),
    "servers_not_there": gettext_lazy("None of the servers is behind the load balancer."),
    "none_left": gettext_lazy("No server would be left behind the load balancer."),
    "foreign_server": gettext_lazy("A server is not one of this cloud account."),
    "too_many": gettext_lazy("Name one to twenty servers."),
    "no_port": gettext_lazy(
        "The platform puts servers behind the load balancer as a whole, not at one port: leave the port out, or an "
        "engineer does it by hand."
    ),
    "record_there": gettext_lazy("The record is there already."),
    "record_not_one": gettext_lazy("Not exactly one record fits."),
    "no_priority": gettext_lazy("A mail server's record needs its MX priority."),
    "own_user": gettext_lazy("The platform works with a key of this user, or the provider signs in with it."),
    "backup_runs": gettext_lazy("A backup is running already."),
    "no_method": gettext_lazy("This instance is not backed up in this way."),
    "cannot_keep": gettext_lazy(
        "The cloud takes how long a backup is kept of MySQL only, 7 to 730 days: an engineer makes this one by hand."
    ),
    "no_parameter": gettext_lazy("The instance has no such parameter."),
    "not_as_shown": gettext_lazy("The cloud is not as it was at the dry run: make a new one. Nothing was changed."),
    "not_executing": gettext_lazy("The change is not being carried out any more."),
    "stopped_by_person": gettext_lazy("Stopped by a person."),
    "gave_up": gettext_lazy("The call was sent again and again and never arrived."),
    "cloud_failed": gettext_lazy("The cloud says that it failed."),
    "not_verified": gettext_lazy("It settled, but afterwards the cloud showed something else."),
    "not_seen": gettext_lazy("No answer came, and the cloud does not show whether it happened: please look there."),
    "too_long": gettext_lazy("It was accepted, but it has not come to an end in time: please look there."),
    "given_up": gettext_lazy("A person has looked: it counts as failed."),
    "no_operations_key": gettext_lazy("The cloud account has no AccessKey for operations."),
    "no_key": gettext_lazy("The cloud account has no AccessKey any more."),
    "no_secret": gettext_lazy("The AccessKey for operations has no secret."),
}
"""The codes of `Refused` and of the engine. What is not here is a code of the cloud, and says itself."""


def problem_text(code: str, detail: str = "") -> str:
    if not code:
        return ""
    said = str(PROBLEMS.get(code, code))
    return f"{said} ({detail})" if detail else said


def line_text(line: RunLine) -> str:
    """Without who and when, which stand before it."""
    data = line.data
    names = {
        "action": data.get("action", ""),
        "code": data.get("code", ""),
        "reference": data.get("reference", ""),
        "count": data.get("calls", ""),
    }
    kind = RunLine.Kind(line.kind)
    if kind == RunLine.Kind.RESTORING:
        said = problem_text(str(data.get("code", "")), str(data.get("detail", "")))
        return _("%(said)s: %(action)s follows all the same, so that nothing stays stopped") % {**names, "said": said}
    if kind in (RunLine.Kind.FAILED, RunLine.Kind.UNKNOWN, RunLine.Kind.STOPPED):
        said = problem_text(str(data.get("code", "")), str(data.get("detail", "")))
        return f"{kind.label}: {said}" if said else str(kind.label)
    return _sentences()[kind] % names


def _sentences() -> Mapping[RunLine.Kind, str]:
    kind = RunLine.Kind
    return {
        kind.PLANNED: _("asked the cloud: %(count)s calls, nothing was changed"),
        kind.STARTED: _("started it"),
        kind.SENT: _("%(action)s is sent"),
        kind.ACCEPTED: _("%(action)s was accepted"),
        kind.THROTTLED: _("%(action)s: too many calls (%(code)s), again a little later"),
        kind.UNSURE: _("%(action)s: no clear answer (%(code)s); the cloud is asked what happened"),
        kind.FOUND: _("%(action)s: the cloud shows that it arrived"),
        kind.NOT_FOUND: _("%(action)s: the cloud shows nothing of it, so it is sent again"),
        kind.SETTLED: _("%(action)s has settled"),
        kind.VERIFIED: _("Looked at once more: it is as wanted"),
        kind.STOPPING: _("wants it stopped: no further call is sent"),
        kind.UNDOING: _("plans to undo it"),
        kind.UNDONE: _("It is undone"),
        kind.BACKED_UP: _("The change has its backup: %(reference)s"),
        kind.AGAIN: _("has the cloud asked again"),
    }
