"""What other apps call: put a message into the outbox, in the transaction that causes it."""

from notify.services.outbox import (
    PERSONAL,
    Message,
    Note,
    Notice,
    broadcast,
    broadcast_many,
    fates,
    tell,
    tell_many,
    written,
)
from notify.services.ways import Ways, ways_to
from notify.services.withdrawing import withdraw

__all__ = [
    "PERSONAL",
    "Message",
    "Note",
    "Notice",
    "Ways",
    "broadcast",
    "broadcast_many",
    "fates",
    "tell",
    "tell_many",
    "ways_to",
    "withdraw",
    "written",
]
