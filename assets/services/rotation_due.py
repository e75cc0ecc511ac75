"""When a secret should be replaced: reckoned from its age and the policy of its kind, kept as a row and as a timer."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts.models import Role, User
from assets.models import Credential
from notify.services import Message, Note, tell_many
from timers import services as timers

TASK = "assets.credential_due"
TOLD_BY = ("inbox", "email")


def due_at(kind: str, since: datetime | None) -> datetime | None:
    days = settings.CREDENTIAL_DAYS[kind]
    return since + timedelta(days=days) if since is not None and days else None


def keep(credential: Credential) -> None:
    """Reckon anew when the secret is due and arm its timer, in the caller's transaction."""
    is_over = credential.retired_at is not None
    due = None if is_over else due_at(credential.kind, credential.secret_set_at)
    if due == credential.rotation_due_at:
        return
    credential.rotation_due_at = due
    credential.save(update_fields=["rotation_due_at"])
    key = f"credential:{credential.pk}:due"
    if credential.rotation_due_at is None:
        timers.cancel(prefix=key)
        return
    timers.set(
        key=key,
        due_at=credential.rotation_due_at,
        task=TASK,
        args={"credential_id": credential.pk},
        customer=credential.customer_id,
    )


def guardians() -> list[User]:
    """Who looks after credentials: the provider's managers and administrators."""
    return list(User.objects.filter(role__in=(Role.MANAGER, Role.ADMIN), is_active=True))


def tell_of_due(*, credential_id: int, due_at: datetime, now: datetime) -> None:
    """The timer rang. Nothing is said of a secret that was replaced meanwhile."""
    credential = Credential.objects.in_use().joined().filter(pk=credential_id, rotation_due_at=due_at).first()
    if credential is None:
        return
    notes = []
    for person in guardians():
        with override(person.language):
            message = Message(
                topic="account",
                subject=_("Rotation due: %(credential)s") % {"credential": credential},
                text=_("%(kind)s of %(customer)s: the secret has reached the age at which it is replaced.")
                % {"kind": credential.get_kind_display(), "customer": credential.customer},
                url=f"/assets/credentials/{credential.pk}/",
                about=f"credential:{credential.pk}",
            )
        notes.append(Note(person, f"credential-due:{credential.pk}:{due_at.isoformat()}", message, TOLD_BY))
    tell_many(customer=credential.customer, notes=notes, now=now)
