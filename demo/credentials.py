"""A few accounts of the first customer: a server as the contract wants it, one that is not, a database, a key pair."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from accounts.models import Customer
from assets.models import AccountPurpose, Asset, Check, CloudAccount, CredentialKind, Kind
from assets.services import credentials
from assets.services.accounts import Credentials as AccountCredentials
from assets.services.credentials import Entry, generate
from demo.aliyun import OPERATIONS
from demo.aliyun import Credentials as SimulatedKey

Purpose = AccountPurpose


def write(*, customer: Customer, now: datetime) -> None:
    mine = Asset.objects.active().filter(customer=customer)
    good, other, *_ = mine.filter(kind=Kind.ECS, os=Asset.Os.LINUX).order_by("name")
    _of_the_cloud(CloudAccount.objects.get(customer=customer), now - timedelta(days=20))
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


def of_account(key: SimulatedKey, *, has_console: bool) -> AccountCredentials:
    """What a customer hands over (SOW 附件一 2.2); not every one has a console user already."""
    if not has_console:
        return AccountCredentials(key.access_key_id, key.access_key_secret)
    console = ("https://signin.aliyun.com/login.htm", "rdmp-admin@jiahe", generate())
    return AccountCredentials(key.access_key_id, key.access_key_secret, *console)


def _of_the_cloud(account: CloudAccount, now: datetime) -> None:
    """The AccessKey with which the reading one is rotated."""
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
