"""Fills a fresh installation with the demo: two customers, their people, this machine, a simulated cloud account."""

import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path

from allauth.account.models import EmailAddress
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import Contact, Customer, ProviderContact, Role, RosterShift, Rotation, Severity, User
from accounts.services import customers, roster, rotations, swaps
from assets.facts import Facts
from assets.models import Asset, CloudAccount, SyncRun
from assets.services import accounts as cloud_accounts
from assets.services import inventory, syncing
from changes.services import trail_verdicts
from demo import (
    accidents,
    automation,
    changes,
    doors,
    duties,
    history,
    ideas,
    incoming,
    outgoing,
    records,
    reports,
    requests,
    scripts,
    servers,
)
from demo import credentials as demo_credentials
from demo.aliyun import cloud
from demo.aliyun.server import CloudServer
from demo.cast import CUSTOMERS, PROVIDER, DemoCustomer, Person, robot_secret
from incidents import services as incidents
from incidents.escalation import Step, Who
from incidents.services import duty_watch, policies
from monitoring.services import dashboards, targets
from monitoring.widgets import Widget, WidgetKind
from notify.services import channels

REGIONS = ("cn-hangzhou", "cn-shanghai")
AGENT_S = 15  # so that the first graphs are there while people look around
QUICK_S = 10  # the port that people close by hand: nobody likes to wait three minutes for an alarm
ENGINEER = "chen@rdmp.example"
REPLIES = Path(__file__).parent / "data" / "replies.json"
MANAGER = "lin@rdmp.example"
SECURITY = "gu@rdmp.example"
PROJECT_MANAGER = "wang@xinghai.example"
ROSTER = (ENGINEER, "zhou@rdmp.example", MANAGER)

Remember = Callable[[User, str], None]


def seed(*, remember: Remember, now: datetime) -> bool:
    """Create the demo once; False when it is there. `remember` is told each person's password. Needs platform scope."""
    if Customer.objects.filter(code=CUSTOMERS[0].code).exists():
        return False
    simulated = cloud.demo_cloud()
    with CloudServer(simulated, port=settings.DEMO_CLOUD_PORT), transaction.atomic():
        for admin in User.objects.filter(role=Role.ADMIN):
            _second_factor(admin)
        staff = {person.email: _join(person, None, remember) for person in PROVIDER}
        _roster(staff, now)
        for reply in json.loads(REPLIES.read_text(encoding="utf-8")):
            incidents.keep_reply(reply=None, customer=None, actor=staff[ENGINEER], now=now, **reply)
        outgoing.set_up_telephone(now=now)
        for entry in CUSTOMERS:
            customer = _customer(entry, staff, remember, now)
            account = _cloud_account(entry, customer, now)
            estate = simulated.estate(account.account_uid)
            history.write(customer=customer, account=account, estate=estate, metrics=simulated.metrics, now=now)
            if entry is CUSTOMERS[0]:
                for name, who in (("zhangwei", "张伟，客户运维负责人"), ("liuyang", "刘洋，客户开发")):
                    trail_verdicts.know(customer=customer, name=name, person=who, actor=staff[ENGINEER], now=now)
                demo_credentials.write(customer=customer, now=now)
                accidents.write(customer=customer, engineer=staff[ENGINEER], manager=staff[MANAGER], now=now)
                _dashboard(customer, _this_machine(customer, now), staff[ENGINEER], now)
                _escalation(customer, staff[ROSTER[2]], now)
                outgoing.agree_and_announce(customer=customer, manager=staff[ROSTER[2]], now=now)
        first, second = (Customer.objects.get(code=entry.code) for entry in CUSTOMERS[:2])
        incoming.write(incoming.Stage(first, second, staff[ENGINEER], now))
        requests.write(engineer=staff[ENGINEER], now=now)
        records.tell_progress(engineer=staff[ENGINEER], now=now)
        records.record(customer=first, engineer=staff[ENGINEER], manager=staff[MANAGER], now=now)
        records.tell_of_responders(customer=first, changed=staff[ROSTER[1]], manager=staff[MANAGER], now=now)
        customer_manager = User.objects.get(email=PROJECT_MANAGER)
        pair = (staff[ENGINEER], staff[ROSTER[1]])
        servers.write(customer=first, manager=customer_manager, engineers=pair, now=now)
        doors.write(customer=first, manager=customer_manager, engineers=pair, now=now)
        scripts.fill_library(engineer=staff[ENGINEER], manager=staff[MANAGER], now=now)
        scripts.write(customer=first, engineer=staff[ENGINEER], now=now)
        cast = changes.Cast(staff[ENGINEER], staff[MANAGER], staff[SECURITY], customer_manager)
        changes.write(customer=first, cast=cast, now=now)
        estate = simulated.estate(CloudAccount.objects.get(customer=first).account_uid)
        automation.write(customer=first, cast=cast, estate=estate, now=now)
        duties.write(customer=first, engineer=staff[ENGINEER], now=now)
        ideas.write(customer=first, engineer=staff[ENGINEER], manager=customer_manager, now=now)
        reports.write(customer=first, engineer=staff[ENGINEER], manager=staff[MANAGER], now=now)
        accidents.leave_in_the_past(now=now)
    return True


def _join(person: Person, customer: Customer | None, remember: Remember) -> User:
    password = secrets.token_urlsafe(9)
    user = User.objects.create_user(
        person.email, password, name=person.name, phone=person.phone, role=person.role, customer=customer
    )
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    if user.is_provider:
        _second_factor(user)
    remember(user, password)
    return user


def _second_factor(user: User) -> None:
    TOTP.activate(user, generate_totp_secret())
    RecoveryCodes.activate(user)


def _roster(staff: dict[str, User], now: datetime) -> None:
    """Weeks by turns, handed over on Monday at nine; and a colleague is asked to take a Sunday."""
    first, second, manager = (staff[email] for email in ROSTER)
    monday = timezone.localdate(now) - timedelta(days=timezone.localtime(now).weekday())
    began = monday - timedelta(days=35)
    for name, duty, people in (
        ("一线周轮值", RosterShift.Duty.FIRST, (first, second)),
        ("二线周轮值", RosterShift.Duty.SECOND, (second, first)),
        ("值班经理", RosterShift.Duty.MANAGER, (manager,)),
    ):
        made = Rotation(
            name=name, duty=duty, first_day=began, handover=time(9), days_per_turn=7,
            people=[person.pk for person in people],
        )  # fmt: skip
        rotations.save(made=made, actor=None, now=timezone.make_aware(datetime.combine(began, time(9))))
    sunday = timezone.make_aware(datetime.combine(monday + timedelta(days=13), time(9)))
    stretch = swaps.Stretch(RosterShift.Duty.FIRST, sunday, sunday + timedelta(hours=12))
    has_it = next(span.user for span in roster.effective(customer_id=None, start=sunday, end=stretch.ends_at))
    asked = second if has_it == first else first
    duty_watch.ask_swap(stretch=stretch, colleague=asked, asker=has_it, note="家里有事，周日白天帮顶一下", now=now)


def _escalation(customer: Customer, manager: User, now: datetime) -> None:
    """The first customer wants its own project manager called when a Disaster waits."""
    usual = policies.brought_along()[Severity.DISASTER]
    step = Step(12, Who.CUSTOMER_PM, ("inbox", "sms", "voice"))
    policies.save(
        customer=customer,
        severity=Severity.DISASTER,
        policy=replace(usual, steps=(*usual.steps, step)),
        reason="客户要求：灾难 12 分钟无人响应时同时电话其项目经理",
        actor=manager,
        now=now,
    )


def _customer(entry: DemoCustomer, staff: dict[str, User], remember: Remember, now: datetime) -> Customer:
    customer = customers.create(
        name=entry.name, short_name=entry.short_name, code=entry.code, actor=None, now=now, notes="演示数据 · demo data"
    )
    customers.sign_default_contract(
        customer=customer, number=entry.contract, signed_on=now.date() - timedelta(days=30), actor=None, now=now
    )
    Customer.objects.filter(pk=customer.pk).update(status=Customer.Status.IN_SERVICE)
    for person in entry.people:
        user = _join(person, customer, remember)
        for duty in person.duties:
            Contact.objects.create(customer=customer, kind=duty, user=user, phone=user.phone, email=user.email)
    for person in PROVIDER:
        user = staff[person.email]
        if user.role == Role.ENGINEER:
            customers.assign(customer=customer, engineer=user, actor=None, now=now)
        for duty in person.duties:
            ProviderContact.objects.create(customer=customer, kind=duty, user=user)
    channels.create(
        customer=customer,
        kind="dingtalk",
        details=channels.Details(name="运维钉钉群（模拟）", purpose="ops"),
        values={"access_token": entry.robot, "secret": robot_secret(entry.robot)},
        actor=None,
        now=now,
    )
    return customer


def _cloud_account(entry: DemoCustomer, customer: Customer, now: datetime) -> CloudAccount:
    key = getattr(cloud, entry.account)
    account: CloudAccount = cloud_accounts.register_account(
        customer=customer,
        name=f"{entry.short_name}（模拟）",
        credentials=demo_credentials.of_account(key, has_console=entry is CUSTOMERS[0]),
        regions=REGIONS,
        endpoint_override=f"http://127.0.0.1:{settings.DEMO_CLOUD_PORT}",
        actor=None,
        now=now,
    )
    run = syncing.ask(account=account, trigger=SyncRun.Trigger.SCHEDULE, actor=None, now=now)
    syncing.run(run_id=run.pk, clock=lambda: now)
    targets.create_for_account(account=account, actor=None, now=now)
    return account


def _this_machine(customer: Customer, now: datetime) -> Asset:
    """The first asset is the machine that the platform runs on: everything about it is real."""
    owned = Facts(
        kind="", name="", host="127.0.0.1", owner_name="王敏", owner_contact="13800000001", environment="production"
    )
    facts = (
        # By another name than the port has: on a busy machine its alarm would hang under the host's and be no card.
        replace(owned, kind="server", name="本机", host="localhost", os="linux", role_text="RDMP 演示主机"),
        replace(owned, kind="port", name="演示服务", port=settings.DEMO_PORT, role_text="演示端口"),
        replace(owned, kind="url", name="服务中台", host="", url=f"{settings.LOCAL_URL}/healthz", role_text="门户自身"),
    )
    machine, *rest = [inventory.create_manual(customer=customer, facts=one, actor=None, now=now) for one in facts]
    for asset in (machine, *rest):
        _watch(asset, now)
    return machine


def _dashboard(customer: Customer, machine: Asset, engineer: User, now: datetime) -> None:
    """What a dashboard can hold, on figures that are there from the first minute."""
    made = dashboards.create(customer=customer, name="商城总览", actor=engineer, now=now)
    shops = Asset.objects.filter(customer=customer, kind="ecs", name__startswith="mall-").values_list("pk", flat=True)
    for kind, more in (
        (WidgetKind.COMPARE, {"metric": "ecs.cpu.util", "assets": tuple(shops[:6])}),
        (WidgetKind.TOP, {"metric": "ecs.mem.util"}),
        (WidgetKind.GRAPH, {"panel": "cpu", "assets": (machine.pk,)}),
        (WidgetKind.VALUE, {"metric": "host.mem.util", "assets": (machine.pk,)}),
        (WidgetKind.NOTE, {"text": "大促期间每小时巡检；发现异常先看左侧对比图。"}),
    ):
        widget = Widget("new0", kind, 0, 0, 1, 1, **more)
        dashboards.add_widget(dashboard=made, widget=widget, actor=engineer, now=now)


def _watch(asset: Asset, now: datetime) -> None:
    if asset.kind == "server":
        targets.create(
            asset=asset,
            kind="prometheus",
            config={"url": settings.AGENT_URL},
            token=settings.AGENT_TOKEN,
            period_s=AGENT_S,
            allow_internal=True,
            actor=None,
            now=now,
        )
    for suggestion in targets.suggestions(asset):
        targets.create(
            asset=asset,
            kind=suggestion.kind,
            config=suggestion.config,
            period_s=QUICK_S if asset.kind == "port" else targets.PERIOD_S,
            allow_internal=True,
            actor=None,
            now=now,
        )
