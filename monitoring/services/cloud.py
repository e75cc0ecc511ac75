"""Reading figures of an Alibaba Cloud account: paced, counted, kept within the month's free calls, and its troubles
told once to those who can mend them. Trouble of reading is never an outage of the customer.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Sum
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from accounts.models import Assignment
from assets.aliyun import AliyunError
from assets.models import Asset, CloudAccount
from assets.models import Kind as AssetKind
from assets.services import client_for
from assets.services.pacing import BUCKET, TooBusy
from monitoring import gaps, governor
from monitoring.collectors import Job, Outcome, Problem, cms, rds
from monitoring.collectors.config import Kind
from monitoring.collectors.config.cloud import NAMESPACES, CmsConfig
from monitoring.models import CloudReading, CloudUse, Target
from monitoring.problems import problem_text
from notify import live
from notify import services as notify

PURPOSE: Final = "monitoring"
HELD_FOR: Final = timedelta(hours=1)
"""After the quota was refused: Alibaba Cloud throttles from the fifth day on, so now and then a call goes through."""
OURS_TO_TELL: Final = frozenset({"key_invalid", "access_denied", "quota_exhausted", "clock"})
"""Problems of the whole account: told once per spell from here, not per target."""
LOST: Final = frozenset({"key_invalid", "access_denied", "no_credentials", "provider_error", "throttled"})
LOST_AFTER: Final = 3
"""Runs in a row of each namespace of an account that nothing answers."""
POLICIES: Final[Mapping[str, str]] = {
    "DescribeMetricList": "AliyunCloudMonitorReadOnlyAccess",
    "DescribeMetricLast": "AliyunCloudMonitorReadOnlyAccess",
    "DescribeMetricMetaList": "AliyunCloudMonitorReadOnlyAccess",
    "DescribeSystemEventAttribute": "AliyunCloudMonitorReadOnlyAccess",
    "DescribeMonitoringAgentStatuses": "AliyunCloudMonitorReadOnlyAccess",
    "DescribeInstanceHistoryEvents": "AliyunECSReadOnlyAccess",
    "DescribeDBInstancePerformance": "AliyunRDSReadOnlyAccess",
    "DescribeSlowLogs": "AliyunRDSReadOnlyAccess",
    "DescribeSuspEvents": "AliyunYundunSASReadOnlyAccess",
    "DescribeVulList": "AliyunYundunSASReadOnlyAccess",
    "QueryAvailableInstances": "AliyunBSSReadOnlyAccess",
}
"""The system policy of RAM that allows each call."""
Words = Callable[[], str]
"""Said in the language that is active when they are asked for."""
ARCHITECTURES: Final = {"standard": "standard", "cluster": "cluster", "rwsplit": "rwsplit", "splitrw": "rwsplit"}


@dataclass(slots=True)
class Meter:
    """Stands at the door of an account's calls (`assets.aliyun.Watch`): waits for the turn, counts, notes refusals."""

    account_uid: str
    calls: int = 0
    other_calls: int = 0
    throttled: int = 0
    refused: set[str] = field(default_factory=set)
    allowed: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, product: str, action: str) -> None:
        try:
            BUCKET.wait(self.account_uid, product, action)
        except TooBusy:
            raise AliyunError("Throttling.Own", "The queue for this API is too long.", retryable=False) from None
        with self._lock:
            if action in governor.COUNTED:
                self.calls += 1
            else:
                self.other_calls += 1

    def after(self, product: str, action: str, code: str) -> None:
        error = AliyunError(code, "") if code else None
        with self._lock:
            if error is None:
                self.allowed.add(action)
            elif error.is_permission_problem:
                self.refused.add(action)
            elif error.is_throttling:
                self.throttled += 1


def reading_of(account: CloudAccount, now: datetime) -> CloudReading:
    """The account's row of reading, made when it is first asked for."""
    found, _made = CloudReading.objects.get_or_create(
        cloud_account=account, defaults={"customer_id": account.customer_id, "next_due_at": now}
    )
    return found


def collect(job: Job[CmsConfig], account: CloudAccount | None, now: datetime) -> Outcome:
    """Run the collector of one namespace of an account."""
    if account is None or account.retired_at is not None:
        return Outcome(job.target_id, problem=Problem("no_credentials"))
    reading = reading_of(account, now)
    is_counted = job.config.namespace != rds.NAMESPACE
    if is_counted and reading.exhausted_until is not None and now < reading.exhausted_until:
        return Outcome(job.target_id, problem=Problem("quota_exhausted"))
    meter = Meter(account.account_uid)
    try:
        client = client_for(account, purpose=PURPOSE, now=now).watched(meter)
    except DomainError as error:
        return Outcome(job.target_id, problem=Problem("no_credentials", error.message))
    now_ms = round(now.timestamp() * 1000)
    if is_counted:
        outcome = cms.collect(
            job,
            client=client,
            assets=owners(account, job.config.namespace),
            metrics=cms.namespaces().get(job.config.namespace, ()),
            now_ms=now_ms,
            existing=reading.names.get(job.config.namespace),
        )
    else:
        outcome = rds.collect(job, client=client, instances=instances(account), now_ms=now_ms)
    if outcome.state is not None:
        back = gaps.LONGEST_BACK_MS if is_counted else gaps.PERFORMANCE_BACK_MS
        is_read = outcome.problem is None
        outcome.state = {**outcome.state, **gaps.after(job.state, is_read=is_read, now_ms=now_ms, back_ms=back)}
    settle(account=account, namespace=job.config.namespace, meter=meter, problem=outcome.problem, now=now)
    return outcome


def owners(account: CloudAccount, namespace: str) -> Mapping[str, cms.Owner]:
    """The assets that a namespace's points belong to, by instance id."""
    kinds = [kind for kind, space in NAMESPACES.items() if space == namespace]
    rows = Asset.objects.filter(cloud_account=account, kind__in=kinds).active()
    return {asset.provider_id: cms.Owner(asset.pk, editions(asset)) for asset in rows}


def editions(asset: Asset) -> frozenset[str]:
    """What an instance counts as where metric names differ by edition; empty where it does not tell."""
    details: Mapping[str, Any] = asset.details
    match asset.kind:
        case AssetKind.REDIS:
            edition = ARCHITECTURES.get(str(details.get("ArchitectureType", "")).lower(), "")
            return frozenset({edition} - {""})
        case AssetKind.MONGODB:
            edition = str(details.get("DBInstanceType", ""))
            if edition == "replicate" and str(details.get("ReplicationFactor", "")) == "1":
                edition = "standalone"
            return frozenset({edition} - {""})
        case AssetKind.RDS:
            role = "readonly" if str(details.get("DBInstanceType", "")).lower() == "readonly" else "primary"
            return frozenset({asset.product, role}) if asset.product else frozenset()
    return frozenset({"any"})


def instances(account: CloudAccount) -> list[rds.Instance]:
    rows = Asset.objects.filter(cloud_account=account, kind=AssetKind.RDS).active().order_by("pk")
    return [rds.Instance(asset.pk, asset.provider_id, asset.product, asset.region) for asset in rows]


# --- what it cost and how it went ------------------------------------------------------------------------------------


@transaction.atomic
def settle(*, account: CloudAccount, namespace: str, meter: Meter, problem: Problem | None, now: datetime) -> None:
    """Write down the calls of a run, the rights that were missing, and tell of trouble that is the whole account's."""
    day = now.astimezone(governor.BEIJING).date()
    if meter.calls or meter.other_calls:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO monitoring_clouduse AS was"
                " (customer_id, cloud_account_id, day, namespace, calls, other_calls, throttled)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (cloud_account_id, day, namespace) DO UPDATE SET calls = was.calls + EXCLUDED.calls,"
                " other_calls = was.other_calls + EXCLUDED.other_calls, throttled = was.throttled + EXCLUDED.throttled",
                [account.customer_id, account.pk, day, namespace, meter.calls, meter.other_calls, meter.throttled],
            )
    reading = CloudReading.objects.select_for_update().get(cloud_account=account)
    before = (dict(reading.denied), reading.problem_code, reading.exhausted_until)
    denied = {action: since for action, since in reading.denied.items() if action not in meter.allowed}
    reading.denied = {action: now.isoformat() for action in meter.refused} | denied
    code = problem.code if problem is not None and problem.code in OURS_TO_TELL else ""
    if code == "access_denied":
        code = ""  # one right of many: it stands under `denied`, the others go on
    if code == "quota_exhausted":
        reading.exhausted_until = now + HELD_FOR
    elif meter.allowed & governor.COUNTED:
        reading.exhausted_until = None
    news = _note(reading, account, code, problem, has_answers=bool(meter.allowed), now=now)
    new_rights = meter.refused - set(before[0])
    if before != (reading.denied, reading.problem_code, reading.exhausted_until) or news:
        reading.save()
        live.publish(customer_id=account.customer_id, topic="targets", object_id=account.pk)
    if new_rights:
        _tell_about_rights(account, sorted(new_rights), now)


def _note(
    reading: CloudReading,
    account: CloudAccount,
    code: str,
    problem: Problem | None,
    *,
    has_answers: bool,
    now: datetime,
) -> bool:
    """Begin or end a spell of trouble; returns whether anything changed. Told once when it begins, once when over."""
    if code and code != reading.problem_code:
        reading.problem_code, reading.problem_since = code, now
        reading.problem_detail = problem.detail[:400] if problem else ""
        _tell(
            account,
            key=f"target:account:{account.pk}:{code}:{now:%Y%m%d%H%M%S}",
            subject=lambda: _("Collecting fails: %(name)s") % {"name": account.name},
            text=lambda: "\n\n".join(filter(None, (str(problem_text(code)), reading.problem_detail))),
            now=now,
        )
        return True
    if not code and reading.problem_code and has_answers:
        since = reading.problem_since or now
        reading.problem_code, reading.problem_detail, reading.problem_since = "", "", None
        _tell(
            account,
            key=f"target:account:{account.pk}:well:{since:%Y%m%d%H%M%S}",
            subject=lambda: _("Collecting works again: %(name)s") % {"name": account.name},
            text=lambda: _("Figures that were missed meanwhile are read afterwards, up to 24 hours back."),
            now=now,
        )
        return True
    return False


def _tell_about_rights(account: CloudAccount, actions: list[str], now: datetime) -> None:
    wanted = sorted({POLICIES.get(action, "ReadOnlyAccess") for action in actions})
    _tell(
        account,
        key=f"target:account:{account.pk}:rights:{now:%Y%m%d}:{'-'.join(actions)}"[:180],
        subject=lambda: _("The AccessKey of %(name)s lacks a right") % {"name": account.name},
        text=lambda: (
            _("Alibaba Cloud refuses %(actions)s. Ask the customer to grant the RAM user %(policies)s.")
            % {"actions": ", ".join(actions), "policies": ", ".join(wanted)}
        ),
        now=now,
    )


def _tell(account: CloudAccount, *, key: str, subject: Words, text: Words, now: datetime) -> None:
    """The customer's engineers, each in their own language. Calling again with the same key changes nothing."""
    for assignment in Assignment.objects.filter(customer_id=account.customer_id).select_related("user"):
        with translation.override(assignment.user.language):
            message = notify.Message(
                topic="account", subject=subject(), text=text(), url=f"/assets/cloud-accounts/{account.pk}/"
            )
        notify.tell(user=assignment.user, key=key, message=message, now=now, customer=account.customer)


def unreadable() -> frozenset[int]:
    """Accounts in scope of which nothing can be read: the credentials are refused, or not one namespace answers.
    That is told once for the account, and explains what is missing of its resources."""
    there = CloudAccount.objects.existing()
    refused = there.filter(state=CloudAccount.State.REFUSED).values_list("pk", flat=True)
    invalid = CloudReading.objects.filter(problem_code="key_invalid").values_list("cloud_account", flat=True)
    rows = Target.objects.enabled().filter(kind=Kind.CMS, cloud_account__in=there)
    answers: dict[int, bool] = {}
    for account, code, failures in rows.values_list("cloud_account", "problem_code", "failures"):
        answers[account] = answers.get(account, False) or code not in LOST or failures < LOST_AFTER
    return frozenset([*refused, *invalid, *(account for account, does in answers.items() if not does)])


# --- the governor ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    """Calls of one day of the month."""

    day: int
    calls: int


def used(account: CloudAccount, now: datetime) -> list[Day]:
    """Counted calls per day of this month, in Beijing."""
    first = now.astimezone(governor.BEIJING).date().replace(day=1)
    rows = CloudUse.objects.filter(cloud_account=account, day__gte=first).values("day").annotate(sum=Sum("calls"))
    return [Day(row["day"].day, row["sum"]) for row in rows.order_by("day")]


def budget(account: CloudAccount, now: datetime) -> governor.Budget:
    """Where the account stands in its month, by what its namespaces used of late."""
    demand = 0.0
    for target in Target.objects.filter(cloud_account=account, kind=Kind.CMS).enabled():
        namespace = str(target.config.get("namespace", ""))
        if namespace != rds.NAMESPACE:
            demand += governor.calls_a_day(namespace, float(target.state.get("calls", 0.0)))
    return governor.plan(used=sum(day.calls for day in used(account, now)), demand=demand, now=now)


@transaction.atomic
def govern(*, account: CloudAccount, now: datetime) -> governor.Budget:
    """Fit the periods of an account's namespaces to what is left of the month, and warn once a month."""
    reading = CloudReading.objects.select_for_update().get(pk=reading_of(account, now).pk)
    found = budget(account, now)
    eases_a_little = reading.stretch - 2 * governor.STEP < found.stretch < reading.stretch
    stretch = reading.stretch if eases_a_little else found.stretch  # no to and fro around a step
    for target in Target.objects.filter(cloud_account=account, kind=Kind.CMS).enabled():
        wanted = governor.period_s(str(target.config.get("namespace", "")), stretch)
        if target.period_s != wanted:
            Target.objects.filter(pk=target.pk).update(period_s=wanted)
    reading.stretch, reading.forecast = stretch, found.forecast
    if found.is_spent:
        reading.exhausted_until = governor.next_month(now)
    if found.warns and reading.warned_month != governor.month_of(now):
        reading.warned_month = governor.month_of(now)
        _tell(
            account,
            key=f"cloud-quota:{account.pk}:{reading.warned_month}",
            subject=lambda: _("CloudMonitor calls of %(name)s near the free quota") % {"name": account.name},
            text=lambda: (
                _(
                    "Without slowing down the month would take %(natural)d of %(limit)d free calls. Periods are "
                    "stretched %(stretch)s times; the forecast is now %(forecast)d."
                )
                % {
                    "natural": found.natural,
                    "limit": found.limit,
                    "stretch": f"{stretch:g}",
                    "forecast": found.forecast,
                }
            ),
            now=now,
        )
    reading.save()
    return found


def agents_without_voice(reading: CloudReading) -> Counter[str]:
    """How many instances have which state of the agent, running ones left out."""
    return Counter(state for state in reading.agents.values() if state != "running")
