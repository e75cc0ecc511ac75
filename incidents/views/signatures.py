"""What of one incident has to be signed or was, as its page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from incidents.models import Attestation, Incident, Quote
from incidents.services.requests import missing_signatures


@dataclass(frozen=True, slots=True)
class Signatures:
    attestations: list[Attestation]
    quotes: list[Quote]
    missing: list[str]
    """Why work on a request may not begin yet."""

    @property
    def waiting(self) -> list[Attestation]:
        """Those that nobody has answered yet."""
        return [attestation for attestation in self.attestations if attestation.given is None]

    @classmethod
    def of(cls, incident: Incident) -> Signatures:
        rows = Attestation.objects.filter(incident=incident).select_related("answer").order_by("asked_at")
        quotes = Quote.objects.filter(incident=incident).select_related("attestation__answer", "entry")
        missing = missing_signatures(incident) if incident.is_request and incident.is_unsolved else []
        return cls(list(rows), list(quotes.prefetch_related("lines", "entry__attachments")), missing)
