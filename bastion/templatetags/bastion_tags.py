"""How the bastion's rows look."""

from __future__ import annotations

from typing import Final

from django import template

from accounts.permissions import is_administrator
from bastion.models import BastionSession, Node
from bastion.words import (
    change_word,
    direction_word,
    event_word,
    front_word,
    refused_word,
    result_word,
    verdict_word,
)

register = template.Library()
register.filter("is_administrator", is_administrator)
for _filter in (change_word, direction_word, event_word, front_word, refused_word, result_word, verdict_word):
    register.filter(_filter)
STATES: Final = BastionSession.State
TONES: Final = {STATES.ALLOWED: "info", STATES.OPEN: "success", STATES.UNKNOWN: "warning", STATES.ENDED: "secondary"}


@register.filter
def session_tone(session: BastionSession) -> str:
    return TONES[STATES(session.state)]


@register.filter
def verdict_tone(verdict: str) -> str:
    return {"deny": "danger", "warn": "warning", "review": "info", "allow": "success"}.get(verdict, "secondary")


@register.filter
def moment(seconds: float) -> str:
    """Into the recording, as 1:02:03 or 02:03."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    return (f"{hours}:" if hours else "") + f"{rest // 60:02}:{rest % 60:02}"


@register.filter
def node_tone(node: Node, is_silent: bool) -> str:
    if node.state != Node.State.ENROLLED:
        return "info" if node.state == Node.State.WAITING else "secondary"
    return "danger" if is_silent else "warning" if node.is_draining else "success"
