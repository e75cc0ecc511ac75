"""One verified request of the simulated cloud, and the ways to refuse it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from demo.aliyun import metrics
from demo.aliyun.account import AccessKey, CloudUid, RamUser
from demo.aliyun.estate import REGIONS, Estate, Json


class ApiError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


def missing(name: str) -> ApiError:
    text = f'The input parameter "{name}" that is mandatory for processing this request is not supplied.'
    return ApiError(400, "MissingParameter", text)


def invalid(name: str) -> ApiError:
    return ApiError(400, "InvalidParameter", f'The specified parameter "{name}" is not valid.')


@dataclass(frozen=True)
class Call:
    """One verified request."""

    params: Mapping[str, str]
    uid: CloudUid
    user: RamUser
    key: AccessKey
    estate: Estate
    store: metrics.MetricStore
    now: datetime

    def need(self, name: str) -> str:
        value = self.params.get(name, "")
        if not value:
            raise missing(name)
        return value

    def number(self, name: str, default: int, *, top: int = 10**9) -> int:
        text = self.params.get(name, "") or str(default)
        if not text.isdigit() or not 1 <= int(text) <= top:
            raise invalid(name)
        return int(text)

    def here(self, product: str, key: str = "RegionId") -> list[Json]:
        region = self.need("RegionId")
        if region not in REGIONS:
            raise ApiError(404, "InvalidRegionId.NotFound", "The specified RegionId does not exist.")
        return [row for row in self.estate.rows[product] if row[key] == region]
