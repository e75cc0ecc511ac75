"""What collectors of cloud accounts are told, and the namespaces of CloudMonitor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from monitoring.collectors.config.fields import (
    Base,
    ConfigError,
    check_number,
)


@dataclass(frozen=True, slots=True)
class CmsConfig(Base):
    """One namespace of one cloud account; the metrics come from the catalogue."""

    cloud_account_id: int
    namespace: str
    region: str = ""

    def __post_init__(self) -> None:
        check_number("cloud_account_id", self.cloud_account_id, 1, 2**31)
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", self.namespace):
            raise ConfigError("namespace", "choice")


NAMESPACES: Final[Mapping[str, str]] = {
    "ecs": "acs_ecs_dashboard",
    "rds": "acs_rds_dashboard",
    "slb": "acs_slb_dashboard",
    "redis": "acs_kvstore",
    "memcache": "acs_memcache",
    "mongodb": "acs_mongodb",
    "drds": "acs_drds",
    "cdn": "acs_cdn",
    "elasticsearch": "acs_elasticsearch",
    "oss": "acs_oss_dashboard",
}
"""The namespace of each kind of asset (CMS documentation, list of metrics)."""

PERFORMANCE: Final = "rds_performance"
"""Stands where a namespace would for the figures that RDS tells itself (`collectors.rds`)."""
