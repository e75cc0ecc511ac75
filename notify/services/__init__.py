"""What other apps call: put a message into the outbox, in the transaction that causes it."""

from notify.services.outbox import Message, Note, Notice, broadcast, broadcast_many, tell, tell_many

__all__ = ["Message", "Note", "Notice", "broadcast", "broadcast_many", "tell", "tell_many"]
