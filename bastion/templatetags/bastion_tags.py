"""How the bastion's rows look."""

from __future__ import annotations

from typing import Final

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from accounts.permissions import is_administrator
from bastion.models import BastionSession, Node

register = template.Library()
register.filter("is_administrator", is_administrator)
STATES: Final = BastionSession.State
TONES: Final = {STATES.ALLOWED: "info", STATES.OPEN: "success", STATES.UNKNOWN: "warning", STATES.ENDED: "secondary"}


@register.filter
def session_tone(session: BastionSession) -> str:
    return TONES[STATES(session.state)]


@register.filter
def verdict_tone(verdict: str) -> str:
    return {"deny": "danger", "warn": "warning", "review": "info"}.get(verdict, "secondary")


@register.filter
def verdict_word(verdict: str) -> str:
    words = {"allow": _("allowed"), "warn": _("warned"), "deny": _("denied"), "review": _("reviewed")}
    return words.get(verdict, verdict)


@register.filter
def direction_word(direction: str) -> str:
    return {"up": pgettext("file", "Upload"), "down": pgettext("file", "Download")}.get(direction, direction)


@register.filter
def result_word(result: str) -> str:
    words = {
        "done": pgettext("file", "complete"),
        "failed": pgettext("file", "failed"),
        "cut": pgettext("file", "cut off"),
        "refused": pgettext("file", "refused"),
    }
    return words.get(result, result)


@register.filter
def moment(seconds: float) -> str:
    """Into the recording, as 1:02:03 or 02:03."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    return (f"{hours}:" if hours else "") + f"{rest // 60:02}:{rest % 60:02}"


@register.filter
def front_word(front: str) -> str:
    return {"ssh": _("SSH client"), "web": _("Browser")}.get(front, front)


@register.filter
def event_word(kind: str) -> str:
    words = {
        "opened": _("begun"),
        "ended": _("ended"),
        "file": _("file changed"),
        "forward": _("port forwarded"),
        "host_key": _("host key"),
        "refused": _("refused"),
    }
    return words.get(kind, kind)


@register.filter
def refused_word(what: str) -> str:
    """What a node refused: of its own few words, or a command or place as it was typed."""
    words = {"connect": pgettext("action", "Connect"), "paste": pgettext("action", "Paste"), "target": _("Server")}
    return words.get(what, {"scp": "SCP", "sftp": "SFTP"}.get(what, what))


@register.filter
def node_tone(node: Node, is_silent: bool) -> str:
    if node.state != Node.State.ENROLLED:
        return "info" if node.state == Node.State.WAITING else "secondary"
    return "danger" if is_silent else "warning" if node.is_draining else "success"
