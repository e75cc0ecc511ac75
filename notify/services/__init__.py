"""What other apps call: put a message into the outbox, in the transaction that causes it."""

from notify.services.outbox import Message, broadcast, tell

__all__ = ["Message", "broadcast", "tell"]
