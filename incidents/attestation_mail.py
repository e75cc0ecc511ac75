"""The mail with a contact's own link to sign by. Its token is made when it is sent and stored nowhere, so that nobody
who reads our log of messages can sign in somebody's place."""

from datetime import datetime

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from accounts.models import Contact
from incidents.models import Attestation
from incidents.services import attestations


def send(*, attestation_id: int, contact_id: int, now: datetime) -> bool:
    """Send the link; False when there is nothing left to sign, or the contact is named no longer."""
    attestation = Attestation.objects.select_related("customer", "answer").filter(pk=attestation_id).first()
    contact = Contact.objects.select_related("user").filter(pk=contact_id).first()
    if attestation is None or contact is None or not attestations.may_sign(attestation, contact.user, now):
        return False
    link = reverse("incidents:attest", args=[attestations.token_for(attestation, contact)])
    facts = {"attestation": attestation, "contact": contact, "url": settings.PUBLIC_URL + link}
    with translation.override(contact.user.language):
        subject = render_to_string("incidents/email/attestation_subject.txt", facts).strip()
        text = render_to_string("incidents/email/attestation.txt", facts)
    headers = {"Auto-Submitted": "auto-generated"}
    EmailMessage(subject, text, to=[contact.email], headers=headers).send()
    return True
