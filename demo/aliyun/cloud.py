"""The simulated Alibaba Cloud: accounts, checks of every request, faults on demand, and the counts of calls.

``SimulatedCloud`` knows no sockets; ``demo.aliyun.server`` puts it on a port.
"""

import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from demo.aliyun import signature, trail, trail_story
from demo.aliyun.account import (
    ADMINISTRATOR_ACCESS,
    ECS_FULL_ACCESS,
    MONITOR_READ_ONLY,
    READ_ONLY_ACCESS,
    AccessKey,
    CloudUid,
    Policy,
    RamUser,
    policy_document,
)
from demo.aliyun.answers import ApiError, Call, missing
from demo.aliyun.estate import Estate, demo_estate
from demo.aliyun.exchange import TELEPHONE_ACCESS, Exchange
from demo.aliyun.happenings import add_event, plan_maintenance
from demo.aliyun.metrics import MetricStore
from demo.aliyun.objects import Objects, Wanted, owners_of, wanted
from demo.aliyun.products import ELASTICSEARCH, PRODUCTS, Product, oss_buckets
from demo.aliyun.security import add_suspicion, add_vulnerability

CLOCK_TOLERANCE = timedelta(minutes=15)
CALLS_PER_SECOND = {"Cms": 50, "Actiontrail": 2, "BssOpenApi": 10, "Sas": 10}  # per API and account, RAM users together
COUNTED = frozenset({"DescribeMetricList", "DescribeMetricLast", "DescribeMetricData", "DescribeMetricTop"})
PRODUCT_CODES = (
    "Sts", "Ram", "Ecs", "Rds", "Slb", "R-kvstore", "Dds", "Drds", "polardbx", "Cdn", "elasticsearch", "Cms", "Oss",
    "BssOpenApi", "Actiontrail", "Dyvmsapi", "Dysmsapi", "Alidns", "Vpc", "Sas", "Kms",
)  # fmt: skip


class FaultKind(StrEnum):
    THROTTLE = "throttle"  # 400 Throttling.User
    UNAVAILABLE = "unavailable"  # 503 ServiceUnavailable
    PROCESSING = "processing"  # 403 IdempotentProcessing: the call before it is still at work
    ERROR = "error"  # 500 InternalError
    TIMEOUT = "timeout"  # no answer for ``seconds``
    HALF = "half"  # the connection breaks in the middle of the body
    GARBAGE = "garbage"  # 200 with something that is not JSON
    RESET = "reset"  # the connection closes before the first byte
    QUOTA = "quota"  # the month's calls are used up
    HALF_DONE = "half-done"  # 500 InternalError after half of a list was done
    LOST_PAGE = "lost-page"  # 200, but the list in it is empty: a page got lost


_ERRORS = {
    FaultKind.THROTTLE: (400, "Throttling.User", "Request was denied due to user flow control."),
    FaultKind.QUOTA: (400, "Throttling.User", "user api quota limit"),
    FaultKind.UNAVAILABLE: (
        503,
        "ServiceUnavailable",
        "The request has failed due to a temporary failure of the server.",
    ),
    FaultKind.PROCESSING: (
        403,
        "IdempotentProcessing",
        "The previous idempotent request(s) is still processing.",
    ),
    FaultKind.ERROR: (500, "InternalError", "The request processing has failed due to some unknown error."),
}


@dataclass
class Fault:
    kind: FaultKind
    remaining: int
    product: str = ""
    action: str = ""
    uid: str = ""
    region: str = ""
    skip: int = 0  # let this many matching calls through first
    seconds: float = 30.0

    def matches(self, uid: str, product: str, action: str, region: str) -> bool:
        pairs = ((self.uid, uid), (self.product, product), (self.action, action), (self.region, region))
        return self.remaining > 0 and all(wanted in ("", given) for wanted, given in pairs)


@dataclass(frozen=True)
class Request:
    method: str
    target: str  # path and query as on the wire
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes
    content_type: str = "application/json;charset=utf-8"
    request_id: str = ""
    fault: Fault | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class SimulatedCloud:
    """All mutable state is guarded by ``_lock``; handlers only read the estates."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    accounts: dict[str, tuple[CloudUid, Estate]] = field(default_factory=dict)
    metrics: MetricStore = field(default_factory=MetricStore)
    exchange: Exchange = field(default_factory=Exchange)
    objects: Objects = field(default_factory=Objects)
    faults: list[Fault] = field(default_factory=list)
    quota: dict[str, int] = field(default_factory=dict)  # calls left this month by account; absent: enough
    _second: tuple[int, Counter[tuple[str, str]]] = field(default_factory=lambda: (0, Counter()))
    _calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _nonces: dict[tuple[str, str], datetime] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # what tests and the demo do with it

    def add_account(self, account: CloudUid, estate: Estate) -> None:
        self.accounts[account.uid] = (account, estate)

    def estate(self, uid: str) -> Estate:
        return self.accounts[uid][1]

    def fail(
        self,
        kind: FaultKind | str,
        count: int = 1,
        *,
        product: str = "",
        action: str = "",
        uid: str = "",
        region: str = "",
        skip: int = 0,
        seconds: float = 30.0,
    ) -> Fault:
        """The next ``count`` matching calls fail in this way."""
        fault = Fault(FaultKind(kind), count, product, action, uid, region, skip, seconds)
        with self._lock:
            self.faults.append(fault)
        return fault

    def heal(self) -> None:
        with self._lock:
            self.faults.clear()

    def calls(self, *, uid: str = "", product: str = "", action: str = "") -> int:
        """How many requests arrived (refused and failed ones included)."""
        with self._lock:
            return sum(
                count
                for key, count in self._calls.items()
                if all(wanted in ("", given) for wanted, given in zip((uid, product, action), key, strict=True))
            )

    def all_calls(self) -> dict[str, int]:
        with self._lock:
            return {"/".join(key): count for key, count in sorted(self._calls.items())}

    def forget_calls(self) -> None:
        with self._lock:
            self._calls.clear()

    @property
    def _products(self) -> list[Product]:
        """Voice and SMS share one version, and what they do belongs to this cloud's exchange."""
        exchange = self.exchange
        voice = {"SingleCallByTts": exchange.single_call, "IvrCall": exchange.ivr_call}
        texts = {"SendSms": exchange.send_sms, "QuerySendDetails": exchange.send_details}
        return [
            *PRODUCTS.values(),
            Product("Dyvmsapi", "2017-05-25", "dyvms", voice | {"QueryCallDetailByCallId": exchange.call_detail}),
            Product("Dysmsapi", "2017-05-25", "dysms", texts),
        ]

    # a request arrives

    def handle(self, request: Request) -> Response:
        request_id = f"SIMULATED-{uuid.uuid4()}".upper()
        is_oss = request.headers.get("authorization", "").startswith("OSS4-")
        try:
            if is_oss:
                return self._oss(request, request_id)
            body, fault = self._open_api(request, request_id)
            return Response(200, body, "application/json;charset=utf-8", request_id, fault)
        except ApiError as error:
            return _refuse(error, request_id, as_xml=is_oss)

    def _open_api(self, request: Request, request_id: str) -> tuple[bytes, Fault | None]:
        path = urlsplit(request.target).path
        params = dict(parse_qsl(urlsplit(request.target).query, keep_blank_values=True))
        if path == "/":
            if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
                params.update(parse_qsl(request.body.decode(), keep_blank_values=True))
            product, action = _rpc_action(params, self._products)
            account, estate, user, key = self._rpc_caller(request.method, params)
        else:
            product, action = _roa_action(request.method, path)
            account, estate, user, key = self._roa_caller(request)
            params.setdefault("RegionId", request.headers.get("x-acs-region-id", ""))
        fault = self._arrived(account.uid, product.name, action, params.get("RegionId", ""))
        self._authorise(user, product, action)
        call = Call(params, account, user, key, estate, self.metrics, self.clock())
        if fault and fault.kind is FaultKind.HALF_DONE:
            _do_half(product.actions[action], call)
            raise ApiError(*_ERRORS[FaultKind.ERROR])
        with estate.work.lock:
            estate.work.settle(call.now)
            answer = product.actions[action](call)
            trail.note(call, product.name, action, request_id=request_id, answered=answer)
        key.last_used_at, key.last_service = self.clock(), product.name
        if fault and fault.kind is FaultKind.LOST_PAGE:
            answer = json.loads(json.dumps(answer), object_hook=_without_lists)
        return json.dumps({"RequestId": request_id, **answer}, ensure_ascii=False).encode(), fault

    def _oss(self, request: Request, request_id: str) -> Response:
        account, estate, user, key = self._oss_caller(request)
        asked = wanted(request.method, request.target, request.body, request.headers.get("content-md5", ""))
        fault = self._arrived(account.uid, "Oss", asked.action if asked else "ListBuckets", "")
        if asked is not None:
            return self._about_object(asked, account, user, request_id, fault)
        if not user.allows("oss:ListBuckets"):
            raise ApiError(403, "AccessDenied", "You have no right to access this object.")
        params = dict(parse_qsl(urlsplit(request.target).query, keep_blank_values=True))
        found = oss_buckets(Call(params, account, user, key, estate, self.metrics, self.clock()))
        return Response(200, found.encode(), "application/xml", request_id, fault)

    def _about_object(
        self, asked: Wanted, account: CloudUid, user: RamUser, request_id: str, fault: Fault | None
    ) -> Response:
        """An upload that breaks off is no upload: nothing is kept of it, and nothing is answered."""
        if fault is not None and asked.action == "PutObject":
            return Response(500, b"", "application/xml", request_id, replace(fault, kind=FaultKind.RESET))
        with self._lock:
            answered = self.objects.answer(asked, account, user, owners_of(self.accounts))
        return Response(
            answered.status, answered.body, answered.content_type, request_id, fault, headers=answered.headers
        )

    def _arrived(self, uid: str, product: str, action: str, region: str) -> Fault | None:
        """Count the call; raise the error of a fault that is due, or return one that only spoils the answer."""
        with self._lock:
            self._calls[uid, product, action] += 1
            self._limit(uid, product, action)
            due = None
            for fault in self.faults:
                if fault.matches(uid, product, action, region):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.remaining -= 1
                    due = fault
                    break
        if due and due.kind in _ERRORS:
            raise ApiError(*_ERRORS[due.kind])
        return due

    def _limit(self, uid: str, product: str, action: str) -> None:
        """Calls per second and API of the products that have a limit of their own, and CloudMonitor's month."""
        if product not in CALLS_PER_SECOND:
            return
        second = int(self.clock().timestamp())
        if self._second[0] != second:
            self._second = (second, Counter())
        self._second[1][uid, action] += 1
        if self._second[1][uid, action] > CALLS_PER_SECOND[product]:
            raise ApiError(*_ERRORS[FaultKind.THROTTLE])
        if action in COUNTED and uid in self.quota:
            if self.quota[uid] <= 0:
                raise ApiError(*_ERRORS[FaultKind.QUOTA])
            self.quota[uid] -= 1

    def _authorise(self, user: RamUser, product: Product, action: str) -> None:
        if product.name == "Sts" or user.allows(f"{product.grant}:{action}"):
            return
        if product.name == "Ram":
            raise ApiError(403, "NoPermission", "You are not authorized to do this action.")
        text = "User not authorized to operate on the specified resource, or this API doesn't support RAM."
        raise ApiError(403, "Forbidden.RAM", text)

    # signatures

    def _find_key(self, access_key_id: str) -> tuple[CloudUid, Estate, RamUser, AccessKey]:
        for account, estate in self.accounts.values():
            found = account.find_key(access_key_id)
            if found:
                if not found[1].active:
                    raise ApiError(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
                return account, estate, *found
        raise ApiError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")

    def _use_nonce(self, access_key_id: str, nonce: str) -> None:
        now = self.clock()
        with self._lock:
            for old in [key for key, seen in self._nonces.items() if now - seen > 2 * CLOCK_TOLERANCE]:
                del self._nonces[old]
            if (access_key_id, nonce) in self._nonces:
                raise ApiError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
            self._nonces[access_key_id, nonce] = now

    def _rpc_caller(self, method: str, params: Mapping[str, str]) -> tuple[CloudUid, Estate, RamUser, AccessKey]:
        for name in ("AccessKeyId", "Signature", "Timestamp", "SignatureNonce", "SignatureMethod", "SignatureVersion"):
            if not params.get(name):
                raise missing(name)
        caller = self._find_key(params["AccessKeyId"])
        self._check_clock(params["Timestamp"], "%Y-%m-%dT%H:%M:%SZ")
        if params["Signature"] != signature.rpc_signature(caller[3].secret, method, params):
            raise _wrong_signature(signature.rpc_string_to_sign(method, params))
        self._use_nonce(params["AccessKeyId"], params["SignatureNonce"])
        return caller

    def _roa_caller(self, request: Request) -> tuple[CloudUid, Estate, RamUser, AccessKey]:
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        access_key_id, _, given = rest.partition(":")
        if scheme != "acs" or not given:
            raise missing("Authorization")
        caller = self._find_key(access_key_id)
        self._check_clock(request.headers.get("date", ""), "%a, %d %b %Y %H:%M:%S GMT")
        if given != signature.roa_signature(caller[3].secret, request.method, request.target, request.headers):
            text = signature.roa_string_to_sign(request.method, request.target, request.headers)
            raise _wrong_signature(text)
        return caller

    def _oss_caller(self, request: Request) -> tuple[CloudUid, Estate, RamUser, AccessKey]:
        text = request.headers["authorization"].partition(" ")[2]
        parts = dict(part.partition("=")[::2] for part in text.split(","))
        access_key_id, _, scope = parts.get("Credential", "").partition("/")
        try:
            caller = self._find_key(access_key_id)
        except ApiError as error:
            raise ApiError(403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist.") from error
        try:
            self._check_clock(request.headers.get("x-oss-date", ""), "%Y%m%dT%H%M%SZ")
        except ApiError as error:
            raise ApiError(
                403, "RequestTimeTooSkewed", "The difference between the request time is too large."
            ) from error
        expected = signature.oss_v4_signature(
            caller[3].secret,
            request.method,
            request.target,
            request.headers,
            scope=scope,
            additional=[name for name in parts.get("AdditionalHeaders", "").split(";") if name],
        )
        if parts.get("Signature") != expected:
            raise ApiError(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")
        return caller

    def _check_clock(self, text: str, form: str) -> None:
        try:
            moment = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError as error:
            raise ApiError(400, "InvalidTimeStamp.Format", "Specified time stamp is not well formatted.") from error
        if abs(self.clock() - moment) > CLOCK_TOLERANCE:
            raise ApiError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")


def _wrong_signature(string_to_sign: str) -> ApiError:
    text = f"Specified signature is not matched with our calculation. server string to sign is:{string_to_sign}"
    return ApiError(400, "SignatureDoesNotMatch", text)


def _rpc_action(params: Mapping[str, str], products: Iterable[Product]) -> tuple[Product, str]:
    for name in ("Action", "Version"):
        if not params.get(name):
            raise missing(name)
    of_version = [product for product in products if product.version == params["Version"]]
    if not of_version:
        raise ApiError(404, "NoSuchVersion", "Specified version does not exist.")
    product = next((each for each in of_version if params["Action"] in each.actions), None)
    if product is None:
        raise ApiError(404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
    return product, params["Action"]


def _roa_action(method: str, path: str) -> tuple[Product, str]:
    if (method, path) == ("GET", "/openapi/instances"):
        return ELASTICSEARCH, "ListInstance"
    raise ApiError(404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")


def _refuse(error: ApiError, request_id: str, *, as_xml: bool) -> Response:
    if as_xml:
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><Error>'
            f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
            f"<RequestId>{request_id}</RequestId><HostId>oss.simulated</HostId></Error>"
        )
        return Response(error.status, text.encode(), "application/xml", request_id)
    body = {"RequestId": request_id, "HostId": "simulated", "Code": error.code, "Message": error.message}
    return Response(error.status, json.dumps(body).encode(), request_id=request_id)


def _do_half(act: Callable[[Call], dict[str, object]], call: Call) -> None:
    """Of the list that the call names only the first half is done, as when a machine over there dies."""
    servers = json.loads(call.params["BackendServers"])
    act(replace(call, params={**call.params, "BackendServers": json.dumps(servers[: len(servers) // 2])}))


def _without_lists(found: dict[str, object]) -> dict[str, object]:
    return {key: [] if isinstance(value, list) else value for key, value in found.items()}


# the cast of the demo

JIA_UID, YI_UID, PROVIDER_UID = "1623400000000001", "1623400000000002", "1623400000000009"


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    access_key_secret: str


def _credentials(name: str) -> Credentials:
    return Credentials(f"LTAISIMULATED{name}", f"simulated-secret-of-{name.lower()}")


READ_ONLY = _credentials("READONLY")  # as the SOW asks: ReadOnlyAccess (附件一 2.2)
GROUPED = _credentials("GROUPED")  # ReadOnlyAccess through a group
WRITER = _credentials("WRITER")  # may also write to ECS
CUSTOM = _credentials("CUSTOM")  # a custom policy whose document has one write in it
BLIND = _credentials("BLIND")  # may read metrics, but not its own policies
REVOKED = _credentials("REVOKED")  # disabled in the RAM console
OPERATIONS = _credentials("OPERATIONS")  # of the provider's automation: may manage AccessKeys
OLD = _credentials("OLD")  # read-only, but more than 90 days old
ROOT = _credentials("ROOT")  # of the main account: may do everything
YI_READ_ONLY = _credentials("YIREADONLY")
TELEPHONE = _credentials("TELEPHONE")  # of the provider's own account: may call and text


def _user(
    name: str, credentials: Credentials, policies: Iterable[Policy], born: datetime, *, root: bool = False
) -> RamUser:
    key = AccessKey(credentials.access_key_id, credentials.access_key_secret, born)
    number = f"2{sum(name.encode()):017}"
    return RamUser(name, number, born, list(policies), keys=[key], is_root=root)


def demo_cloud(clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> SimulatedCloud:
    """Two customers' accounts; the first has every kind of AccessKey that a customer might hand over."""
    now = clock().replace(hour=2, minute=0, second=0, microsecond=0)  # the same all day, whenever it is started
    young, old = now - timedelta(days=12), now - timedelta(days=200)
    snapshot = Policy(
        "jiahe-snapshots", "Custom", policy_document("ecs:Describe*", "ecs:CreateSnapshot", "ram:Get*", "ram:List*")
    )
    jia = CloudUid(
        JIA_UID,
        "jiahe",
        [
            _user("rdmp-readonly", READ_ONLY, [READ_ONLY_ACCESS, MONITOR_READ_ONLY], young),
            _user("rdmp-writer", WRITER, [READ_ONLY_ACCESS, ECS_FULL_ACCESS], young),
            _user("rdmp-custom", CUSTOM, [READ_ONLY_ACCESS, snapshot], young),
            _user("rdmp-monitor", BLIND, [MONITOR_READ_ONLY], young),
            _user("rdmp-revoked", REVOKED, [READ_ONLY_ACCESS], young),
            _user("rdmp-old", OLD, [READ_ONLY_ACCESS], old),
            _user("rdmp-operations", OPERATIONS, [ADMINISTRATOR_ACCESS], young),
            RamUser(
                "rdmp-admin",
                "20000000000000001",
                old,
                [ADMINISTRATOR_ACCESS],
                can_sign_in=True,
                has_mfa=True,
                last_login_at=now - timedelta(days=1),
            ),
            RamUser(
                "zhangwei",
                "20000000000000002",
                old,
                [ADMINISTRATOR_ACCESS],
                display_name="张伟",
                can_sign_in=True,
                last_login_at=now - timedelta(days=3),
            ),
            RamUser(
                "liuyang",
                "20000000000000003",
                old,
                groups={"developers": [ECS_FULL_ACCESS]},
                display_name="刘洋",
                can_sign_in=True,
                has_mfa=True,
            ),
            _user("root", ROOT, [ADMINISTRATOR_ACCESS], old, root=True),
        ],
    )
    jia.users.append(_user("rdmp-grouped", GROUPED, [], young))
    jia.users[-1].groups["readers"] = [READ_ONLY_ACCESS]
    jia.empty_groups |= {"former-operations": [ADMINISTRATOR_ACCESS], "guests": []}
    jia.disable_key(REVOKED.access_key_id)
    yi = CloudUid(YI_UID, "yishan", [_user("rdmp-readonly", YI_READ_ONLY, [READ_ONLY_ACCESS], young)])
    small = Estate(now=now, salt="yi")
    small.add_ecs("oa-01", private_ip="10.8.0.11")
    small.add_rds("oa")
    cloud = SimulatedCloud(clock=clock, metrics=MetricStore(spread=timedelta(seconds=120)))
    cloud.add_account(jia, demo_estate(now))
    _let_some_idle(cloud)
    cloud.add_account(yi, small)
    telephone = _user("rdmp-telephone", TELEPHONE, [TELEPHONE_ACCESS], young)
    cloud.add_account(CloudUid(PROVIDER_UID, "provider", [telephone]), Estate(now=now, salt="provider"))
    _let_things_happen(cloud.estate(JIA_UID), now)
    return cloud


def _let_some_idle(cloud: SimulatedCloud) -> None:
    """One server that nobody uses any more, and one that is larger than what it does."""
    estate = cloud.estate(JIA_UID)
    for name, figures in (
        ("bi-etl-02", {"CPUUtilization": 1.3, "cpu_total": 1.3, "memory_usedutilization": 14.0,
                       "InternetInRate": 700.0, "InternetOutRate": 900.0,
                       "IntranetInRate": 6100.0, "IntranetOutRate": 5200.0}),
        ("erp-win-01", {"CPUUtilization": 12.4}),
    ):  # fmt: skip
        instance_id = str(estate.find(name)["InstanceId"])
        for metric, value in figures.items():
            cloud.metrics.set_value("acs_ecs_dashboard", metric, value, instanceId=instance_id)


def _let_things_happen(estate: Estate, now: datetime) -> None:
    """A restart that ECS plans, one that it has done, and what CloudMonitor told of the last days."""

    def name(of: str) -> str:
        row = estate.find(of)
        return str(row.get("InstanceId") or row["DBInstanceId"])

    published = now - timedelta(days=2)
    plan_maintenance(
        estate, instance_id=name("mall-app-02"), published=published, not_before=now + timedelta(days=5, hours=16)
    )
    done = now - timedelta(days=9)
    plan_maintenance(
        estate,
        instance_id=name("mall-web-03"),
        published=done - timedelta(days=3),
        not_before=done,
        status="Executed",
        finished=done + timedelta(minutes=12),
    )
    for days, product, what, level, of in (
        (1, "RDS", "Instance_Failover", "WARN", "mall-member"),
        (3, "ECS", "Disk:ErrorDetected", "CRITICAL", "bi-etl-01"),
        (4, "ECS", "Instance:StateChange", "INFO", "mall-test-01"),
    ):
        add_event(
            estate,
            product=product,
            name=what,
            level=level,
            resource_id=name(of),
            at=now - timedelta(days=days, hours=3),
        )
    trail_story.write(estate, now)
    _let_security_center_find(estate, name, now)


def _let_security_center_find(estate: Estate, name: Callable[[str], str], now: datetime) -> None:
    for days, kind, title, need, of, fixed in (
        (41, "cve", "RHSA-2026:1187: openssl security update", "asap", "mall-web-01", 33),
        (41, "cve", "RHSA-2026:1187: openssl security update", "asap", "mall-web-02", None),
        (37, "cve", "RHSA-2026:0932: kernel security update", "later", "mall-app-01", None),
        (36, "sys", "KB5034441", "later", "erp-win-01", None),
        (34, "app", "Log4j2 CVE-2021-44228", "asap", "mall-app-02", 12),
    ):
        add_vulnerability(
            estate,
            instance_id=name(of),
            name=title,
            kind=kind,
            need=need,
            found_at=now - timedelta(days=days),
            status=1 if fixed is None else 7,
            fixed_at=None if fixed is None else now - timedelta(days=fixed),
        )
    for days, title, level, of, status in (
        (35, "ECS 非常用地登录", "suspicious", "mall-web-01", 32),
        (33, "SSH 暴力破解", "remind", "mall-web-02", 1),
    ):
        add_suspicion(
            estate, instance_id=name(of), name=title, at=now - timedelta(days=days), level=level, status=status
        )
    add_suspicion(
        estate,
        instance_id="",
        name="AccessKey 在非常用地点调用",
        kind="云产品威胁检测",
        at=now - timedelta(hours=5),
        text="RAM 用户 ci-deploy 的 AccessKey 在 203.0.113.77 调用了 DescribeInstances，该地址此前从未出现。",
        level="suspicious",
    )
