"""Signed calls to Alibaba Cloud through its SDKs, repeated within bounds; every failure becomes an `AliyunError`."""

import copy
import json
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar
from urllib.parse import urlsplit
from xml.etree import ElementTree

import alibabacloud_oss_v2 as oss
import requests
from aliyunsdkcms.request.v20190101.DescribeMetricLastRequest import DescribeMetricLastRequest
from aliyunsdkcms.request.v20190101.DescribeMetricListRequest import DescribeMetricListRequest
from aliyunsdkcms.request.v20190101.DescribeMetricMetaListRequest import DescribeMetricMetaListRequest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import AcsRequest, CommonRequest
from aliyunsdkecs.request.v20140526.DescribeInstancesRequest import DescribeInstancesRequest
from aliyunsdkecs.request.v20140526.DescribeRegionsRequest import DescribeRegionsRequest

from assets.aliyun.codes import WRONG_SECRET, is_credential_code, is_permission_code, is_quota_text, is_retryable_code
from assets.aliyun.resources import Row, text

T = TypeVar("T")

# The SDK logs each failed request with its signed URL, under several loggers; a filter outlives every configuration.
for _name in [name for name in logging.root.manager.loggerDict if name.startswith("aliyunsdkcore")]:
    logging.getLogger(_name).addFilter(lambda _: False)

_REQUESTS: Mapping[tuple[str, str], type[AcsRequest]] = {
    ("Ecs", "DescribeRegions"): DescribeRegionsRequest,
    ("Ecs", "DescribeInstances"): DescribeInstancesRequest,
    ("Cms", "DescribeMetricList"): DescribeMetricListRequest,
    ("Cms", "DescribeMetricLast"): DescribeMetricLastRequest,
    ("Cms", "DescribeMetricMetaList"): DescribeMetricMetaListRequest,
}
# Products that the SDK's own table does not know, or not everywhere; it would ask the location service for them.
_UNLISTED_ENDPOINTS = {
    "polardbx": "polardbx.{region}.aliyuncs.com",
    "Sas": "tds.aliyuncs.com",  # one place for every region of the mainland
    "Actiontrail": "actiontrail.{region}.aliyuncs.com",  # the table knows older regions only
}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class AliyunError(Exception):
    """A call that did not work. `code` is Alibaba Cloud's, or one of ours: Timeout, Unreachable, InvalidResponse,
    IncompleteListing, EndpointMissing."""

    def __init__(self, code: str, message: str, *, retryable: bool | None = None, request_id: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = is_retryable_code(code) if retryable is None else retryable
        self.request_id = request_id

    @property
    def is_credential_problem(self) -> bool:
        return is_credential_code(self.code)

    @property
    def is_permission_problem(self) -> bool:
        return is_permission_code(self.code)

    @property
    def is_throttling(self) -> bool:
        """Too many calls at once; a little later the same call goes through."""
        return self.code.startswith("Throttling") and not self.is_quota_exhausted

    @property
    def is_quota_exhausted(self) -> bool:
        """The month's calls are used up: no use in asking again soon."""
        return is_quota_text(self.message)


class Watch(Protocol):
    """Stands at the door of every attempt of a call, repetitions included."""

    def before(self, product: str, action: str) -> None:
        """May wait until the account's limits allow the attempt, or raise AliyunError to hold it back."""

    def after(self, product: str, action: str, code: str) -> None:
        """Told how the attempt ended: an empty code is an answer."""


@dataclass(frozen=True)
class Patience:
    """How long one call is repeated: exponential backoff with full jitter, bounded in count and in time."""

    attempts: int = 5
    total_s: float = 60.0
    base_s: float = 0.5
    longest_s: float = 10.0

    def delay_s(self, attempt: int) -> float:
        """Before the repetition after `attempt` (1 is the first call)."""
        ceiling: float = min(self.longest_s, self.base_s * 2 ** (attempt - 1))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads load, guards nothing


class Connection:
    """Reads one account. `endpoints` (product code → URL) replaces every address: then nothing else is contacted."""

    def __init__(
        self,
        access_key_id: str,
        access_key_secret: str,
        region: str = "cn-hangzhou",
        endpoints: Mapping[str, str] | None = None,
        *,
        connect_timeout_s: float = 5,
        read_timeout_s: float = 10,
        patience: Patience = Patience(),
        pool_size: int = 32,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.region = region
        self._key = (access_key_id, access_key_secret)
        self._endpoints = {product.lower(): url for product, url in (endpoints or {}).items()}
        self._timeouts = (connect_timeout_s, read_timeout_s)
        self._patience = patience
        self._sleep = sleep
        self._watch: Watch | None = None
        self._pool_size = pool_size
        self._is_local = any(urlsplit(url).hostname in _LOOPBACK for url in self._endpoints.values())
        self._acs = AcsClient(
            access_key_id,
            access_key_secret,
            region,
            auto_retry=False,  # ours below; the SDK would repeat ECS calls only
            connect_timeout=connect_timeout_s,
            timeout=read_timeout_s,
            pool_size=pool_size,
            # Empty entries rather than none: with none the SDK takes proxies of the environment even for loopback.
            proxy={"http": "", "https": ""} if self._is_local else None,
        )
        self._acs.session.trust_env = False  # no credentials out of ~/.netrc
        self._oss_lock = threading.Lock()
        self._oss: oss.Client | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {_mask(self._key[0])} {self.region}>"

    def watched(self, watch: Watch) -> Self:
        """This connection with somebody who counts and paces its calls; both share one pool of sockets."""
        twin = copy.copy(self)
        twin._watch = watch
        return twin

    # one call

    def call(
        self, product: str, version: str, action: str, params: Mapping[str, str] | None = None, *, region: str = ""
    ) -> Row:
        """One RPC action, repeated while that makes sense; returns the JSON object. Raises AliyunError."""

        def send() -> Row:
            request = _REQUESTS.get((product, action), CommonRequest)()
            if isinstance(request, CommonRequest):
                request.set_product(product)
                request.set_version(version)
                request.set_action_name(action)
            for name, value in (params or {}).items():
                request.add_query_param(name, value)
            return self._send(request, product, region)

        return self._repeat(lambda: self._attempt(product, action, send))

    def _attempt(self, product: str, action: str, send: Callable[[], Row]) -> Row:
        """One attempt, with whoever watches told before and after."""
        watch = self._watch
        if watch is None:
            return send()
        watch.before(product, action)
        try:
            found = send()
        except AliyunError as error:
            watch.after(product, action, error.code)
            raise
        watch.after(product, action, "")
        return found

    def get(self, product: str, version: str, path: str, params: Mapping[str, str], *, region: str = "") -> Row:
        """One GET of a ROA product (Elasticsearch)."""

        def send() -> Row:
            request = CommonRequest(uri_pattern=path, version=version, product=product)
            request.set_query_params(dict(params))
            return self._send(request, product, region, method="GET")

        return self._repeat(send)

    def _send(self, request: AcsRequest, product: str, region: str, method: str = "POST") -> Row:
        where = region or self.region
        request.set_method(method)
        request.set_protocol_type("https")
        request.add_query_param("RegionId", where)
        if method == "GET":
            request.add_header("x-acs-region-id", where)
        endpoint = self._endpoint(product, where)
        if endpoint:
            request.set_endpoint(endpoint)
        problem: AliyunError
        try:
            body = self._acs.do_action_with_exception(request)
        except ServerException as error:
            status = error.get_http_status() or 0
            problem = self._problem(error.get_error_code(), error.get_error_msg(), error.get_request_id(), status)
        except ClientException as error:
            code = "Timeout" if "timed out" in error.get_error_msg() else "Unreachable"
            is_ours = error.get_error_code() == "SDK.HttpError"
            problem = self._problem(code if is_ours else error.get_error_code(), f"{product} did not answer.", "", 0)
        else:
            return self._read(body)
        raise problem  # outside the handlers: the SDK's exception, which holds the URL, is not chained to ours

    def _endpoint(self, product: str, region: str) -> str:
        if self._endpoints:
            endpoint = self._endpoints.get(product.lower())
            if not endpoint:
                raise AliyunError("EndpointMissing", f"No endpoint is set for {product}.")
            return endpoint
        return _UNLISTED_ENDPOINTS.get(product, "").format(region=region)

    def _read(self, body: bytes) -> Row:
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise AliyunError("InvalidResponse", "The answer was not a complete JSON object.")
        if str(found.get("Success", True)).lower() == "false":  # CMS reports some errors with HTTP 200
            raise self._problem(text(found, "Code"), text(found, "Message"), text(found, "RequestId"), 200)
        return found

    def _problem(self, code: str, message: str, request_id: str | None, status: int) -> AliyunError:
        if code in WRONG_SECRET:
            message = "The AccessKey secret does not belong to this AccessKey."  # the original quotes the signed string
        clean = message.replace(self._key[1], "***").replace(self._key[0], _mask(self._key[0]))
        clean = re.sub(r"https?://\S+|/\?\S+|Signature=\S+", "…", clean)[:300]
        retryable = (status >= 500 or status == 429 or is_retryable_code(code)) and not is_quota_text(message)
        return AliyunError(code or "Unknown", clean, retryable=retryable, request_id=request_id or "")

    def _repeat(self, send: Callable[[], T]) -> T:
        started, attempt = time.monotonic(), 1
        while True:
            try:
                return send()
            except AliyunError as error:
                delay = self._patience.delay_s(attempt)
                spent = time.monotonic() - started
                if not error.retryable or attempt >= self._patience.attempts or spent + delay > self._patience.total_s:
                    raise
            attempt += 1
            self._sleep(delay)

    # OSS: its own SDK, because its signature (V4) and its XML are its own

    def bucket_page(self, marker: str) -> oss.ListBucketsResult:
        """One page of ListBuckets. Raises AliyunError."""
        return self._repeat(lambda: self._bucket_page(marker))

    def _bucket_page(self, marker: str) -> oss.ListBucketsResult:
        problem: AliyunError
        try:
            page = self._oss_client().list_buckets(oss.ListBucketsRequest(marker=marker or None, max_keys=1000))
        except oss.exceptions.OperationError as error:
            problem = self._oss_problem(error.unwrap())
        except (oss.exceptions.BaseError, ElementTree.ParseError):
            problem = AliyunError("InvalidResponse", "The answer of OSS was not complete.")
        else:
            if page.is_truncated is None:
                raise AliyunError("InvalidResponse", "OSS did not send a list of buckets.")
            return page
        raise problem

    def _oss_problem(self, cause: Exception) -> AliyunError:
        if isinstance(cause, oss.exceptions.ServiceError):
            code = {"InvalidAccessKeyId": "InvalidAccessKeyId.NotFound"}.get(cause.code, cause.code)
            return self._problem(code, cause.message or "", cause.request_id, cause.status_code)
        return AliyunError("Timeout" if "timed out" in str(cause) else "Unreachable", "OSS did not answer.")

    def _oss_client(self) -> oss.Client:
        with self._oss_lock:
            if self._oss is None:
                session = requests.Session()
                session.trust_env = not self._is_local
                adapter = requests.adapters.HTTPAdapter(pool_maxsize=self._pool_size)
                session.mount("https://", adapter)
                session.mount("http://", adapter)
                connect, read = self._timeouts
                self._oss = oss.Client(
                    oss.Config(
                        region=self.region,
                        endpoint=self._endpoint("Oss", self.region) or None,
                        credentials_provider=oss.credentials.StaticCredentialsProvider(*self._key),
                        retry_max_attempts=1,
                        http_client=oss.transport.RequestsHttpClient(
                            session=session, connect_timeout=connect, readwrite_timeout=read
                        ),
                    )
                )
            return self._oss


def _mask(access_key_id: str) -> str:
    """As the RAM console shortens it: enough to recognise, too little to use."""
    return f"{access_key_id[:6]}****{access_key_id[-4:]}" if len(access_key_id) > 12 else "****"
