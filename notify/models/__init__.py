"""The models of notify: the outbox, people's devices and wishes, the provider's telephone, takers of the audit log."""

from notify.models.outgoing import (
    CHOSEN_TOPICS,
    Attempt,
    Channel,
    ChannelQuerySet,
    Delivery,
    DeliveryQuerySet,
    Preference,
    Topic,
    all_topics,
)
from notify.models.outlets import OutletSettings, PushDevice
from notify.models.policies import NotificationPolicy, Outage
from notify.models.siem import AuditCursor, AuditReceiver

__all__ = [
    "CHOSEN_TOPICS",
    "Attempt",
    "AuditCursor",
    "AuditReceiver",
    "Channel",
    "ChannelQuerySet",
    "Delivery",
    "DeliveryQuerySet",
    "NotificationPolicy",
    "Outage",
    "OutletSettings",
    "Preference",
    "PushDevice",
    "Topic",
    "all_topics",
]
