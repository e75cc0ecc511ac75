"""How the bastion's rows look."""

from __future__ import annotations

from typing import Final

from django import template
from django.utils.translation import gettext as _

from bastion.models import BastionSession, Node

register = template.Library()
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
def node_tone(node: Node, is_silent: bool) -> str:
    if node.state != Node.State.ENROLLED:
        return "info" if node.state == Node.State.WAITING else "secondary"
    return "danger" if is_silent else "warning" if node.is_draining else "success"
