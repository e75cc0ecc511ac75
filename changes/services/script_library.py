"""The scripts that may run on hosts: proposed, approved by a second person, replaced by the next version, retired."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_manager, is_provider
from assets.models import AccountPurpose
from changes.catalogue import Words
from changes.models import ScriptVersion
from changes.script_words import fault_text
from changes.scripts import CODE, BadScript, Script, check, digest, shipped

LONGEST_CODE: Final = 40


@dataclass(frozen=True, slots=True)
class Proposal:
    code: str
    words: Words
    script: Script
    purpose: str = ""


@transaction.atomic
def propose(*, customer: Customer | None, said: Proposal, actor: User, now: datetime) -> ScriptVersion:
    """Write the next version down; it runs nowhere yet. Without a customer it is for all of them."""
    if not is_provider(actor):
        raise PermissionDenied
    _check(said)
    with _writing(customer):
        audit.hold(None if customer is None else customer.pk)
        _must_be_one_owners(said.code, customer)
        last = ScriptVersion.objects.filter(code=said.code, customer=customer).order_by("-number").first()
        if last is not None and last.sha256 == digest(said.script) and last.retired_at is None:
            raise DomainError(_("Version %(number)d says the same already.") % {"number": last.number}, code="same")
        try:
            with transaction.atomic():
                version = _create(customer, said, 1 if last is None else last.number + 1, actor, now)
        except IntegrityError:
            raise DomainError(
                _("Somebody else proposed a version at the same moment. Nothing was saved."), code="busy"
            ) from None
        _record("propose", version, actor, now)
    return version


def adopt(*, code: str, actor: User, now: datetime) -> ScriptVersion:
    """Take over, as a proposal for all customers, a script that comes with the platform. Raises KeyError."""
    one = shipped()[code]
    return propose(customer=None, said=Proposal(code, one.words, one.script), actor=actor, now=now)


@transaction.atomic
def approve(*, version: ScriptVersion, actor: User, now: datetime) -> ScriptVersion:
    """A manager who did not propose it lets it run. Approving it twice changes nothing."""
    if not is_manager(actor) or actor.pk == version.proposed_by_id:
        raise PermissionDenied
    with _writing(version.customer):
        version = _hold(version)
        if version.retired_at is not None:
            raise DomainError(_("This version was withdrawn. Nothing was changed."), code="retired")
        if not version.is_as_approved:
            raise DomainError(_("It is not what was proposed any more. Nothing was changed."), code="tampered")
        if version.approved_at is None:
            version.approved_by, version.approved_at = actor, now
            version.save(update_fields=["approved_by", "approved_at"])
            _record("approve", version, actor, now)
    return version


@transaction.atomic
def retire(*, version: ScriptVersion, actor: User, now: datetime) -> ScriptVersion:
    """It runs no more; what it did stays. A proposal is withdrawn in the same way."""
    if not is_provider(actor):
        raise PermissionDenied
    with _writing(version.customer):
        version = _hold(version)
        if version.retired_at is None:
            version.retired_by, version.retired_at = actor, now
            version.save(update_fields=["retired_by", "retired_at"])
            _record("retire", version, actor, now)
    return version


def may_approve(person: User, version: ScriptVersion) -> bool:
    is_open = version.approved_at is None and version.retired_at is None
    return is_open and is_manager(person) and person.pk != version.proposed_by_id


def may_retire(person: User, version: ScriptVersion) -> bool:
    return version.retired_at is None and is_provider(person)


def find(code: str, number: int | None, *, customer_id: int, told_at: datetime | None) -> ScriptVersion:
    """The approved version that is meant. Raises DomainError when there is none, or it was withdrawn since."""
    found = ScriptVersion.objects.meant(code, number, customer_id=customer_id, told_at=told_at)
    if found is None or found.retired_at is not None:
        name = code if number is None else f"{code}@{number}"
        raise DomainError(_("No approved script is called “%(name)s”.") % {"name": name}, code="no_script")
    return found


def _must_be_one_owners(code: str, customer: Customer | None) -> None:
    """`code@2` in a change means one script: never a customer's own and everybody's, withdrawn ones included."""
    if ScriptVersion.objects.filter(code=code, customer__isnull=customer is not None).exists():
        raise DomainError(
            _("A script for all customers has this code already. Please choose another.")
            if customer is not None
            else _("A customer's own script has this code already. Please choose another."),
            code="code_taken",
        )


def _check(said: Proposal) -> None:
    if not CODE.fullmatch(said.code) or len(said.code) > LONGEST_CODE:
        raise DomainError(fault_text("bad_code"), code="bad_code")
    if not said.words.en.strip() or not said.words.zh.strip():
        raise DomainError(_("Please give it a name in both languages."), code="text_missing")
    try:
        check(said.script)
    except BadScript as fault:
        raise DomainError(fault_text(fault.code, fault.detail), code=fault.code) from None
    if not said.script.accounts <= set(AccountPurpose.values):
        raise DomainError(fault_text("no_accounts"), code="no_accounts")


def _create(customer: Customer | None, said: Proposal, number: int, actor: User, now: datetime) -> ScriptVersion:
    script = said.script
    return ScriptVersion.objects.create(
        customer=customer,
        code=said.code,
        number=number,
        name_en=said.words.en.strip()[:120],
        name_zh=said.words.zh.strip()[:120],
        purpose=said.purpose.strip(),
        interpreter=script.interpreter.value,
        body=script.body,
        parameters=list(script.parameters),
        accounts=sorted(script.accounts),
        as_root=script.as_root,
        only_reads=script.only_reads,
        timeout_s=script.timeout_s,
        output_limit=script.output_limit,
        patch=script.patch,
        sha256=digest(script),
        proposed_by=actor,
        proposed_at=now,
    )


def _hold(version: ScriptVersion) -> ScriptVersion:
    audit.hold(version.customer_id)
    rows = ScriptVersion.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("customer").get(pk=version.pk)


def _writing(customer: Customer | None) -> AbstractContextManager[object]:
    """What belongs to all customers is written by the platform alone."""
    return nullcontext() if customer is not None else scope.platform("scripts of all customers")


def _record(verb: str, version: ScriptVersion, actor: User, now: datetime) -> None:
    detail = {"version": str(version), "sha256": version.sha256}
    audit.record(action=f"script.{verb}", actor=actor, customer=version.customer, obj=version, detail=detail, now=now)
