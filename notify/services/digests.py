"""Several messages in one: what a robot has no room for, one call for all that is wrong, the news of a quiet night."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Severity
from notify.models import Delivery
from notify.states import State

SHOWN_IN_DIGEST = 20
PREFIX = "digest:"


def is_digest(delivery: Delivery) -> bool:
    return delivery.key.startswith(PREFIX)


def merge(parts: Sequence[Delivery], now: datetime) -> Delivery:
    """One delivery that says what all of `parts` say, in place of them: all of one customer, to one reader.

    It asks what all of them ask; the answer then holds for each.
    """
    first = parts[0]
    with translation.override(_language(first)):
        subject, text = digest_text(parts)
    worst = min(parts, key=lambda part: part.priority)
    digest = Delivery.objects.create(
        customer_id=first.customer_id,
        key=f"{PREFIX}{first.channel_id or first.medium}:{first.pk}-{parts[-1].pk}",
        medium=first.medium,
        channel=first.channel,
        user=first.user,
        address=first.address,
        about=_common(part.about for part in parts),
        asks=_common(part.asks for part in parts),
        topic=worst.topic,
        severity=worst.severity,
        priority=worst.priority,
        subject=worst.subject if first.medium == Delivery.Medium.VOICE else subject,
        text=text,
        url=_common(part.url for part in parts) or "/incidents/",
        next_attempt_at=now,
        created_at=now,
    )
    change = {"state": State.DIGESTED, "digest": digest, "next_attempt_at": None, "settled_at": now}
    Delivery.objects.filter(pk__in=[part.pk for part in parts], state=State.PENDING).update(**change)
    return digest


def _common(values: Iterable[str]) -> str:
    found = set(values)
    return found.pop() if len(found) == 1 else ""


def _language(part: Delivery) -> str:
    if part.user is not None:
        return part.user.language
    owner = part.channel.customer if part.channel else None
    return owner.language if owner else settings.LANGUAGE_CODE


def digest_text(parts: Sequence[Delivery]) -> tuple[str, str]:
    """Subject and markdown of a digest; the worst first, the rest counted."""
    count = len(parts)
    subject = ngettext("%(count)d message in one", "%(count)d messages in one", count) % {"count": count}
    lines = []
    for part in parts[:SHOWN_IN_DIGEST]:
        severity = f"[{Severity(part.severity).label}] " if part.severity else ""
        title = f"{severity}{part.subject}".replace("[", "【").replace("] ", "】").replace("]", "】")
        lines.append(f"- [{title}]({settings.PUBLIC_URL}{part.url})" if part.url else f"- {title}")
    if count > SHOWN_IN_DIGEST:
        lines.append(_("… and %(count)d more.") % {"count": count - SHOWN_IN_DIGEST})
    return subject, "\n".join(lines)
