"""Reading RAM into rows: groups, users with their rights and keys, and the findings that come and go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts import audit
from assets.aliyun import Client
from assets.aliyun.ram import Grant, RamGroup, RamKey, RamPerson, groups, people
from assets.models import Access, CloudAccount, RamFinding, RamUser
from assets.models import RamGroup as GroupRow
from assets.ram_findings import Found, Group, Key, Person, find
from assets.services.verifying import key_access


@dataclass(frozen=True, slots=True)
class Seen:
    """RAM as it was read. `key_findings`: what speaks against the reading key being one."""

    groups: Sequence[RamGroup]
    people: Sequence[RamPerson]
    access: Access
    key_findings: Sequence[str]


def read(client: Client, account: CloudAccount) -> Seen:
    """Everything over the network, before any row is touched. Raises AliyunError rather than know half of it."""
    known = tuple(groups(client))
    found = tuple(people(client, known))
    access, findings = key_access(client, account.key_user)
    return Seen(known, found, access, findings)


@transaction.atomic
def apply(*, account: CloudAccount, seen: Seen, now: datetime) -> int:
    """Make the account's rows equal to what was read; returns how many findings are new."""
    RamUser.objects.filter(account=account).exclude(name__in={one.name for one in seen.people}).delete()
    for person in seen.people:
        RamUser.objects.update_or_create(account=account, name=person.name, defaults=_row(account, person, now))
    GroupRow.objects.filter(account=account).exclude(name__in={one.name for one in seen.groups}).delete()
    for group in seen.groups:
        GroupRow.objects.update_or_create(account=account, name=group.name, defaults=_group_row(account, group, now))
    CloudAccount.objects.filter(pk=account.pk).update(key_access=seen.access, key_findings=list(seen.key_findings))
    writes = seen.key_findings if seen.access is Access.WRITES else ()
    found = find(
        [_person(one) for one in seen.people],
        [Group(one.name, one.members, [grant.policy for grant in one.grants]) for one in seen.groups],
        console_user=account.ram_username.partition("@")[0],
        key_user=account.key_user,
        key_writes=writes,
        now=now,
    )
    return _keep(account, found, now)


def _keep(account: CloudAccount, found: Sequence[Found], now: datetime) -> int:
    known = {
        (row.flaw, row.user, row.detail): row for row in RamFinding.objects.filter(RamFinding.OPEN, account=account)
    }
    wanted = {(str(one.flaw), one.user[:64], one.detail[:300]) for one in found}
    gone = [row.pk for key, row in known.items() if key not in wanted]
    RamFinding.objects.filter(pk__in=gone).update(gone_at=now)
    new = sorted(wanted - set(known))
    RamFinding.objects.bulk_create(
        RamFinding(customer_id=account.customer_id, account=account, flaw=flaw, user=user, detail=detail, found_at=now)
        for flaw, user, detail in new
    )
    if new or gone:
        what = {"new": [f"{flaw}: {user}" for flaw, user, _detail in new], "gone": len(gone)}
        action, customer = "cloud_account.ram_findings", account.customer
        audit.record(action=action, actor=None, customer=customer, obj=account, detail=what, now=now)
    return len(new)


def _row(account: CloudAccount, person: RamPerson, now: datetime) -> dict[str, object]:
    return {
        "customer_id": account.customer_id,
        "display_name": person.display_name[:128],
        "created_at": person.created_at,
        "last_login_at": person.last_login_at,
        "can_sign_in": person.can_sign_in,
        "has_mfa": person.has_mfa,
        "groups": list(person.groups),
        "policies": [_grant_row(grant) for grant in person.grants],
        "keys": [_key_row(key) for key in person.keys],
        "seen_at": now,
    }


def _group_row(account: CloudAccount, group: RamGroup, now: datetime) -> dict[str, object]:
    return {
        "customer_id": account.customer_id,
        "comments": group.comments[:128],
        "created_at": group.created_at,
        "members": list(group.members),
        "policies": [_grant_row(grant) for grant in group.grants],
        "seen_at": now,
    }


def _grant_row(grant: Grant) -> dict[str, object]:
    return {"name": grant.policy, "system": grant.is_system, "group": grant.group}


def _key_row(key: RamKey) -> dict[str, object]:
    return {
        "id": _masked(key.access_key_id),
        "active": key.is_active,
        "created": key.created_at.isoformat() if key.created_at else "",
        "used": key.last_used_at.isoformat() if key.last_used_at else "",
        "service": key.last_service,
    }


def _person(person: RamPerson) -> Person:
    keys = [Key(_masked(key.access_key_id), key.is_active, key.created_at, key.last_used_at) for key in person.keys]
    return Person(person.name, person.can_sign_in, person.has_mfa, [grant.policy for grant in person.grants], keys)


def _masked(key_id: str) -> str:
    return f"{key_id[:6]}****{key_id[-4:]}" if len(key_id) > 12 else "****"
