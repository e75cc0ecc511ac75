"""What the bastion of the first customer knows: servers that answer, their accounts, groups, and who is let to them."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from django.conf import settings

from accounts.models import Customer, User
from assets import keypairs
from assets.models import AccountPurpose, Asset, SshAccess
from assets.services import credentials
from assets.services.credentials import Entry, generate
from bastion.access import Protocol
from bastion.gateway.contract import Action
from bastion.models import ResourceGroup
from bastion.services import granting, groups, ssh_keys
from bastion.services.granting import Wanted
from demo import hosts, visits
from demo.hosts import Account, Known

OURS, CUSTOMERS, APPLICATION = "trops", "xxadmin", "www"
SSH: Final = frozenset({Protocol.SSH, Protocol.SFTP})
ALL: Final = frozenset(Action) - {Action.FORWARD}
OFFICE_HOURS: Final = ({"days": [0, 1, 2, 3, 4], "from": "09:00", "to": "18:00"},)


def write(*, customer: Customer, manager: User, engineers: tuple[User, User], now: datetime) -> None:
    """`manager`: the customer's, who lets people in; of the engineers the first one works, the second by day alone."""
    host_key, accounts, assets = keypairs.make(), {}, []
    for name, address in hosts.ADDRESSES.items():
        asset = Asset.objects.active().select_related("customer").get(customer=customer, name=name)
        accounts[name] = _accounts(asset, now)
        _pin(asset, address, host_key, now)
        assets.append(asset)
    state_dir = Path(settings.STATE_DIR)
    hosts.write(state_dir, Known(host_key, accounts))
    first, second = engineers
    group = groups.create(customer=customer, name="商城前端", description="商品页与任务机", actor=manager, now=now)
    groups.add(group=group, assets=assets, actor=manager, now=now)
    groups.follow_networks(customer=customer, now=now)
    _let(first, group, Wanted(ALL, SSH, reason="合同内日常运维", until=now + timedelta(days=180)), manager, now)
    _let(second, assets[0], Wanted(ALL, SSH, reason="工作时间支援", windows=OFFICE_HOURS), manager, now)
    key = keypairs.make()
    ssh_keys.add(person=first, name="办公笔记本", public_key=keypairs.public_half(key), now=now)
    visits.write_key(state_dir / hosts.DIRECTORY, first.email, key)


def _let(person: User, to: Asset | ResourceGroup, wanted: Wanted, manager: User, now: datetime) -> None:
    granting.grant(person=person, to=to, wanted=wanted, actor=manager, now=now)


def _accounts(asset: Asset, now: datetime) -> dict[str, Account]:
    """As the contract wants them, and what the server itself must know of them."""
    ours, customers, application = keypairs.make(), generate(), generate()
    for entry in (
        Entry("key_pair", OURS, AccountPurpose.OPERATIONS, ours),
        Entry("host", CUSTOMERS, AccountPurpose.CUSTOMER, customers, has_sudo=True),
        Entry("host", APPLICATION, AccountPurpose.APPLICATION, application, has_sudo=False),
    ):
        credentials.add(where=asset, entry=entry, actor=None, now=now)
    return {
        OURS: Account(keys=(keypairs.public_half(ours),)),
        CUSTOMERS: Account(passwords=(_digest(customers),)),
        APPLICATION: Account(passwords=(_digest(application),)),
    }


def _pin(asset: Asset, address: str, host_key: str, now: datetime) -> None:
    public = keypairs.public_half(host_key)
    SshAccess.objects.create(
        customer=asset.customer,
        asset=asset,
        host=address,
        port=settings.DEMO_SSH_PORT,
        host_key=public,
        fingerprint=keypairs.fingerprint(public),
        pinned_at=now,
    )


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
