"""The one mail that the ground floor sends itself, because whom it reaches has no account yet: the invitation."""

from smtplib import SMTPException

from celery import shared_task
from django.conf import settings
from django.core import signing
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation

from accounts import scope
from accounts.models import Invitation

INVITATION_SALT = "accounts.invitation"


def token_for(invitation: Invitation) -> str:
    """The signed token of an invitation's link. It is worth something only as long as the row is open."""
    return signing.dumps(invitation.pk, salt=INVITATION_SALT)


@shared_task(
    name="accounts.mail_invitation",
    queue="notify",
    autoretry_for=(SMTPException, OSError),
    retry_backoff=True,
    max_retries=5,
)
def mail_invitation(invitation_id: int) -> None:
    """Send the link once; housekeeping calls again for those that were never sent."""
    now = timezone.now()
    with scope.platform("mail an invitation"):
        invitation = Invitation.objects.select_related("customer").filter(pk=invitation_id, mailed_at=None).first()
        if invitation is None or not invitation.is_open(now):
            return
        _message(invitation).send()
        Invitation.objects.filter(pk=invitation.pk).update(mailed_at=now)


def _message(invitation: Invitation) -> EmailMultiAlternatives:
    language = invitation.customer.language if invitation.customer else settings.LANGUAGE_CODE
    url = settings.PUBLIC_URL + reverse("accounts:invitation", args=[token_for(invitation)])
    facts = {"invitation": invitation, "url": url, "provider_name": settings.PROVIDER_NAME}
    with translation.override(language):
        subject = render_to_string("accounts/email/invitation_subject.txt", facts).strip()
        text = render_to_string("accounts/email/invitation.txt", facts)
        html = render_to_string("accounts/email/invitation.html", facts)
    message = EmailMultiAlternatives(subject, text, to=[invitation.email], headers={"Auto-Submitted": "auto-generated"})
    message.attach_alternative(html, "text/html")
    return message
