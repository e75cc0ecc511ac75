"""A few accounts of the first customer: a server as the contract wants it, one that is not, a database, a key pair."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from accounts import secrets
from accounts.models import Customer
from assets.models import AccountPurpose, Asset, Check, CloudAccount, CredentialKind, Kind
from assets.services import credentials, mirroring
from assets.services.credentials import Entry, generate
from demo.aliyun import OPERATIONS

Purpose = AccountPurpose


def write(*, customer: Customer, now: datetime) -> None:
    mine = Asset.objects.active().filter(customer=customer)
    good, other, *_ = mine.filter(kind=Kind.ECS, os=Asset.Os.LINUX).order_by("name")
    _of_the_cloud(CloudAccount.objects.get(customer=customer), now)
    _accounts(
        good,
        (
            Entry("host", "trops", Purpose.OPERATIONS, generate(), has_sudo=True),
            Entry("host", "xxadmin", Purpose.CUSTOMER, generate(), has_sudo=True),
            Entry("host", "www", Purpose.APPLICATION, generate(), has_sudo=False),
            Entry("key_pair", "trops", Purpose.OPERATIONS),
        ),
        now - timedelta(days=20),
    )
    _accounts(
        other,
        (
            Entry("host", "trops", Purpose.OPERATIONS, generate(), has_sudo=True),
            Entry("host", "www", Purpose.APPLICATION, generate(), has_sudo=True, note="历史原因，待整改"),
        ),
        now - timedelta(days=120),
    )
    database = mine.filter(kind=Kind.RDS).order_by("name").first()
    if database is not None:
        root = Entry("database", "root", Purpose.OTHER, generate(), is_privileged=True)
        _accounts(database, (root, Entry("database", "mall_app", Purpose.APPLICATION, generate())), now)


def _of_the_cloud(account: CloudAccount, now: datetime) -> None:
    """The console sign-in that the SOW asks for, and the AccessKey with which the reading one is rotated."""
    account.login_url, account.ram_username = "https://signin.aliyun.com/login.htm", "rdmp-admin@jiahe"
    account.save(update_fields=["login_url", "ram_username"])
    secrets.put(obj=account, field=CloudAccount.PASSWORD, value=generate(), actor=None, now=now)
    mirroring.mirror(account, now=now)
    entry = Entry(
        "access_key",
        "rdmp-operations",
        Purpose.OPERATIONS,
        OPERATIONS.access_key_secret,
        access_key_id=OPERATIONS.access_key_id,
    )
    credentials.add(where=account, entry=entry, actor=None, now=now)


def _accounts(asset: Asset, entries: Iterable[Entry], since: datetime) -> None:
    for entry in entries:
        made = credentials.add(where=asset, entry=entry, actor=None, now=since)
        if entry.kind == CredentialKind.HOST and entry.username == "trops":
            words = "登录成功（演示数据）"
            credentials.note_check(credential=made, state=Check.WORKS, words=words, actor=None, now=since)
