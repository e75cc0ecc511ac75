"""The two texts that are signed for a transfer of ownership, and what both sides are told about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import User
from changes.models import OwnershipTransfer, TransferStep
from changes.ownership import RETENTION, Method, Step, steps_of
from changes.telling import Text, contacts_here, tell
from changes.words import said
from incidents.models import AttestationAnswer


def name_of(step: Step) -> str:
    return said(step.name)


def authorisation_text(transfer: OwnershipTransfer) -> str:
    """What the customer signs before anything begins: the whole of it, in its language."""
    with translation.override(transfer.customer.language):
        names = _names(transfer)
        steps = "\n".join(f"- {said(step.name)}" for step in steps_of(Method(transfer.method)))
        return "\n\n".join(
            [
                _("Authorisation of the transfer of ownership and access: %(number)s") % names,
                str(transfer.get_trigger_display()),
                str(transfer.get_method_display()),
                _("Taken over by: %(recipient)s <%(email)s>") % names,
                _("Agreed with: %(agreed)s") % names,
                transfer.details,
                steps,
                _(
                    "After the transfer everything is kept for %(days)d calendar days, so that we can check that it is "
                    "whole and right; then it is deleted and cannot be brought back. What is used meanwhile is charged "
                    "at cost, without any addition."
                )
                % names,
                _("We authorise %(provider)s to begin the transfer.") % names,
            ]
        )


def acceptance_text(transfer: OwnershipTransfer, progress: Sequence[tuple[Step, TransferStep | None]]) -> str:
    """What the customer signs when it is done."""
    with translation.override(transfer.customer.language):
        names = _names(transfer)
        lines = [f"- {said(step.name)}: {'' if done is None else done.evidence}" for step, done in progress]
        return "\n\n".join(
            [
                _("Acceptance of the transfer of ownership and access: %(number)s") % names,
                str(transfer.get_method_display()),
                _("Taken over by: %(recipient)s <%(email)s>") % names,
                "\n".join(lines),
                _("Kept until %(day)s, then deleted for good.") % names,
                _("We confirm that the transfer is complete.") % names,
            ]
        )


def answered(transfer: OwnershipTransfer, given: AttestationAnswer, people: Iterable[User], *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {**_names(transfer), "outcome": given.get_outcome_display(), "signer": given.signer_name or "—"}
        return _("%(number)s %(customer)s: %(outcome)s") % names, "\n\n".join(
            part for part in (_("By %(signer)s.") % names, given.words) if part
        )

    _tell(transfer, f"answered:{given.pk}", people, text, now=now)


def erasure_is_near(transfer: OwnershipTransfer, people: Iterable[User], today: date, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = _names(transfer)
        if transfer.erase_by is not None and today >= transfer.erase_by:
            subject = _("To be erased: what is left of %(customer)s") % names
            accepted = _("The customer has accepted the transfer.") if transfer.accepted_at else _(
                "The customer has not accepted the transfer yet: nothing is erased before."
            )  # fmt: skip
            return subject, accepted
        return _("What is left of %(customer)s is kept until %(day)s") % names, _(
            "Please check that the data is whole and right, and sign the acceptance, before it is deleted for good."
        )

    _tell(transfer, f"erasure:{today.isoformat()}", [*people, *contacts_here(transfer.customer_id)], text, now=now)


def _names(transfer: OwnershipTransfer) -> dict[str, object]:
    return {
        "number": transfer.number,
        "customer": transfer.customer,
        "recipient": transfer.recipient_name,
        "email": transfer.recipient_email,
        "agreed": transfer.agreed_with,
        "provider": settings.PROVIDER_NAME,
        "days": RETENTION.days,
        "day": "" if transfer.erase_by is None else transfer.erase_by.isoformat(),
    }


def _tell(transfer: OwnershipTransfer, what: str, people: Iterable[User], text: Text, *, now: datetime) -> None:
    about = f"transfer:{transfer.pk}"
    url = f"/changes/transfers/{transfer.pk}/"
    tell(transfer.customer, f"{about}:{what}", people, text, about=about, url=url, now=timezone.localtime(now))
