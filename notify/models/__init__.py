"""The models of notify: channels and the outbox, people's own devices and wishes, the provider's telephone."""

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

__all__ = [
    "CHOSEN_TOPICS",
    "Attempt",
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
