"""How grants, requests, reviews, rules and host keys look."""

from __future__ import annotations

from datetime import datetime

from django import template

from bastion.models import AccessRequest, CommandReview, Grant, HostKeySighting
from bastion.services import answering
from bastion.words import ACTIONS, PROTOCOLS

register = template.Library()


@register.filter
def action_word(action: str) -> str:
    return str(ACTIONS.get(action, action))


@register.filter
def protocol_word(protocol: str) -> str:
    return str(PROTOCOLS.get(protocol, protocol))


@register.filter
def weekly_lines(grant: Grant) -> list[str]:
    return answering.weekly_lines(grant)


@register.filter
def is_in_force(grant: Grant, now: datetime) -> bool:
    return grant.is_in_force(now)


@register.filter
def begins_later(grant: Grant, now: datetime) -> bool:
    return grant.since is not None and grant.since > now


@register.filter
def request_tone(asked: AccessRequest) -> str:
    return {"waiting": "warning", "granted": "success", "refused": "danger"}.get(asked.state, "secondary")


@register.filter
def review_tone(review: CommandReview) -> str:
    return {"waiting": "warning", "allowed": "success", "denied": "danger"}.get(review.state, "secondary")


@register.filter
def key_tone(sighting: HostKeySighting) -> str:
    if sighting.state == HostKeySighting.State.WAITING:
        return "danger" if sighting.kind == HostKeySighting.Kind.CHANGED else "warning"
    return "success" if sighting.state == HostKeySighting.State.CONFIRMED else "secondary"
