"""People: inviting, accepting, changing roles, ending access, taking a lost second factor away."""

from datetime import datetime, timedelta
from functools import partial

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth.password_validation import validate_password
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.mail import INVITATION_SALT, mail_invitation, token_for
from accounts.models import Customer, Invitation, Role, User
from accounts.models.people import CUSTOMER_ROLES
from accounts.permissions import is_admin, is_customer_pm, is_manager

INVITATION_LIVES = timedelta(days=7)


def may_invite(actor: User, role: str, customer: Customer | None) -> bool:
    """Administrators invite anybody, managers the people of customers, project managers those of their own side."""
    if is_admin(actor):
        return True
    if customer is None or role not in CUSTOMER_ROLES:
        return False
    return is_manager(actor) or (is_customer_pm(actor) and actor.customer_id == customer.pk)


def administrators(customer_id: int | None) -> list[User]:
    """Whoever `permissions.administers` says yes of: they are told."""
    active = User.objects.filter(is_active=True)
    return [*active.filter(role=Role.CUSTOMER_PM, customer=customer_id), *active.filter(role=Role.ADMIN)]


@transaction.atomic
def invite(
    *, email: str, name: str, role: str, customer: Customer | None, actor: User, now: datetime
) -> tuple[Invitation, str]:
    """Open the door for one address; returns the invitation and its token. An older open one is withdrawn.

    Raises PermissionDenied, or DomainError when the address has an account already.
    """
    if not may_invite(actor, role, customer):
        raise PermissionDenied
    email = email.strip().lower()
    with scope.platform("is this address taken"):
        if User.objects.filter(email=email).exists():
            raise DomainError(_("This address has an account already."), code="duplicate")
    Invitation.objects.filter(email=email, accepted_at=None, withdrawn_at=None).update(withdrawn_at=now)
    with scope.platform("invitations of the provider belong to no customer"):
        invitation = Invitation.objects.create(
            customer=customer,
            email=email,
            name=name,
            role=role,
            invited_by=actor,
            created_at=now,
            expires_at=now + INVITATION_LIVES,
        )
    detail = {"email": email, "role": role}
    audit.record(action="person.invite", actor=actor, customer=customer, obj=invitation, detail=detail, now=now)
    transaction.on_commit(partial(mail_invitation.delay, invitation.pk), robust=True)
    return invitation, token_for(invitation)


@transaction.atomic
def withdraw(*, invitation: Invitation, actor: User, now: datetime) -> None:
    """Close an open invitation. Doing it twice changes nothing."""
    if not may_invite(actor, invitation.role, invitation.customer):
        raise PermissionDenied
    open_ones = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, withdrawn_at=None)
    if open_ones.update(withdrawn_at=now):
        audit.record(action="person.withdraw", actor=actor, customer=invitation.customer, obj=invitation, now=now)


def find_invitation(token: str, *, now: datetime) -> Invitation | None:
    """The open invitation of a token, or None for a forged, used, withdrawn or expired one. Needs a platform scope."""
    try:
        pk = signing.loads(token, salt=INVITATION_SALT)
    except signing.BadSignature:
        return None
    invitation = Invitation.objects.select_related("customer").filter(pk=pk).first()
    return invitation if invitation is not None and invitation.is_open(now) else None


@transaction.atomic
def accept_invitation(*, token: str, name: str, password: str, phone: str, now: datetime) -> User:
    """Become a user. Of two people with the same link exactly one gets in. Needs a platform scope.

    Raises DomainError when the door is shut, ValidationError when the password is too weak.
    """
    invitation = find_invitation(token, now=now)
    if invitation is not None:
        locked = Invitation.objects.select_for_update(of=("self",)).filter(pk=invitation.pk)
        invitation = next((row for row in locked if row.is_open(now)), None)
    if invitation is None:
        raise DomainError(_("This invitation was used, withdrawn or has expired. Ask for a new one."), code="shut")
    person = User(email=invitation.email, name=name, phone=phone, role=invitation.role, customer=invitation.customer)
    validate_password(password, person)
    person.set_password(password)
    try:
        with transaction.atomic():
            person.save()
    except IntegrityError:
        raise DomainError(_("This address has an account already. Sign in instead."), code="duplicate") from None
    EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    invitation.accepted_at, invitation.accepted_by = now, person
    invitation.save(update_fields=["accepted_at", "accepted_by"])
    audit.record(action="person.join", actor=person, customer=person.customer, obj=person, now=now)
    return person


@transaction.atomic
def change(*, person: User, actor: User, now: datetime, role: str | None = None, is_active: bool | None = None) -> None:
    """Change a person's role within their side, or end or restore their access.

    Ending it ends their sessions, and shuts the doors that they opened for others. Raises PermissionDenied;
    DomainError when it would leave the platform without an administrator.
    """
    if not may_invite(actor, role or person.role, person.customer) or not may_invite(
        actor, person.role, person.customer
    ):
        raise PermissionDenied
    audit.hold(person.customer_id)
    with scope.platform("the provider's people belong to no customer"):
        # All administrators too, so that two of them cannot end each other's access at the same moment.
        held = User.objects.select_for_update(of=("self",)).filter(Q(pk=person.pk) | Q(role=Role.ADMIN)).order_by("pk")
        before = next(row for row in held if row.pk == person.pk)
        was_admin = before.role == Role.ADMIN
        detail: dict[str, object] = {}
        if role is not None and role != before.role:
            if (role in CUSTOMER_ROLES) != (before.customer_id is not None):
                raise DomainError(_("A person stays on their side: invite them anew for the other one."))
            detail["role"] = [before.role, role]
            before.role = role
        if is_active is not None and is_active != before.is_active:
            detail["is_active"] = [before.is_active, is_active]
            before.is_active = is_active
        if not detail:
            return
        before.save(update_fields=["role", "is_active"])
        if not before.is_active:
            theirs = Invitation.objects.filter(invited_by=before, accepted_at=None, withdrawn_at=None)
            theirs.update(withdrawn_at=now)
        if was_admin and not User.objects.filter(role=Role.ADMIN, is_active=True).exists():
            raise DomainError(_("One active administrator must remain."))
        end_sessions(before)
        audit.record(action="person.change", actor=actor, customer=before.customer, obj=before, detail=detail, now=now)


def end_sessions(person: User) -> int:
    """Sign a person out everywhere; returns how many sessions in browsers ended. Needs a platform scope."""
    end_all_begun(person)
    sessions = list(UserSession.objects.filter(user=person))
    for session in sessions:
        session.end()
    return len(sessions)


def end_all_begun(person: User) -> None:
    """What lives on outside the browser's session is bound to the epoch: sessions at servers, and what opens more."""
    with scope.platform("the provider's people belong to no customer"):
        User.objects.filter(pk=person.pk).update(sign_in_epoch=F("sign_in_epoch") + 1)
        person.refresh_from_db(fields=["sign_in_epoch"])


@transaction.atomic
def reset_second_factor(*, person: User, actor: User, now: datetime) -> None:
    """Take a lost phone or key away; the person signs in anew and, at the provider, must set up another one."""
    if not may_invite(actor, person.role, person.customer):
        raise PermissionDenied
    audit.hold(person.customer_id)
    with scope.platform("second factor of a person"):
        removed, _rows = Authenticator.objects.filter(user=person).delete()
        end_sessions(person)
        detail = {"removed": removed}
        audit.record(
            action="person.reset_mfa", actor=actor, customer=person.customer, obj=person, detail=detail, now=now
        )


@transaction.atomic
def sign_out_everywhere(*, person: User, actor: User, now: datetime) -> None:
    """End every session of a person, those at servers too, for a lost laptop or a doubt. Raises PermissionDenied."""
    if not may_invite(actor, person.role, person.customer):
        raise PermissionDenied
    audit.hold(person.customer_id)
    with scope.platform("sessions of a person"):
        detail = {"sessions": end_sessions(person)}
        audit.record(
            action="person.sign_out", actor=actor, customer=person.customer, obj=person, detail=detail, now=now
        )
