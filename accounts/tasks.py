"""The ground floor's own rhythm."""

from celery import shared_task
from django.utils import timezone

from accounts import scope
from accounts.mail import mail_invitation
from accounts.services import upkeep

__all__ = ["housekeeping", "mail_invitation"]


@shared_task(name="accounts.housekeeping", queue="default")
def housekeeping() -> None:
    """Add holidays that were published, send invitations that were never sent, forget ended sessions."""
    with scope.platform("housekeeping"):
        for invitation_id in upkeep.run(now=timezone.now()):
            mail_invitation.delay(invitation_id)
