"""Sending our answers into the conversations that a chat lets us answer in, once, while it lets us."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _

from accounts import scope
from incidents.models import InboundMessage
from incidents.services.inbound import WHY
from notify import providers
from notify.inbound import dingtalk

log = logging.getLogger(__name__)
AT_A_TIME: Final = 50


def send(*, message_id: int, now: datetime) -> bool:
    """Send the answer to one message, outside any transaction. True when DingTalk took it.

    The row is marked before the call: an answer that may have arrived is not sent twice.
    """
    with scope.platform(WHY):
        waiting = InboundMessage.objects.filter(pk=message_id, replied_at=None, reply_until__gt=now).exclude(reply="")
        if not waiting.update(replied_at=now):
            return False
        message = InboundMessage.objects.get(pk=message_id)
        url = str(message.data.get("reply_url", ""))
        outcome = dingtalk.reply(url, message.reply, title=_("RDMP service desk"), limits=providers.limits())
        if outcome.is_accepted:
            return True
        log.warning("the answer to message %s was not taken: %s %s", message_id, outcome.code, outcome.detail)
        InboundMessage.objects.filter(pk=message_id).update(error=f"{outcome.code} {outcome.detail}"[:400])
        if outcome.code == "not sent":
            InboundMessage.objects.filter(pk=message_id).update(replied_at=None)
        return False


def waiting(*, now: datetime) -> list[int]:
    """Messages whose answer has not been sent and may still be."""
    with scope.platform(WHY):
        rows = InboundMessage.objects.filter(replied_at=None, reply_until__gt=now).exclude(reply="")
        return list(rows.order_by("pk").values_list("pk", flat=True)[:AT_A_TIME])
