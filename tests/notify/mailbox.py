"""A real SMTP server that does as it is told."""

from __future__ import annotations

import asyncio
import logging

from aiosmtpd.smtp import SMTP, Envelope, Session

# Its thread outlives the test that asked for it, and would talk into a stream that is closed by then.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class Mailbox:
    """A mail server that does as it is told: `plan` maps a step (rcpt address, "data") to its answer."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.plan: dict[str, str] = {}

    async def handle_RCPT(  # noqa: N802 - aiosmtpd looks it up by this name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.plan:
            return self.plan[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        if self.plan.get("data") == "hang up":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        elif "data" in self.plan:
            return self.plan["data"]
        self.envelopes.append(envelope)
        return "250 OK queued as 5A1"
