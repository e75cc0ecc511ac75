"""A simulated Alibaba Cloud: it checks signatures, pages, throttles and fails as the real one does.

Everything it answers is made up; each RequestId starts with ``SIMULATED-``.
"""

from demo.aliyun.cloud import (
    BLIND,
    CUSTOM,
    GROUPED,
    JIA_UID,
    OLD,
    OPERATIONS,
    READ_ONLY,
    REVOKED,
    ROOT,
    WRITER,
    YI_READ_ONLY,
    YI_UID,
    Credentials,
    Fault,
    FaultKind,
    SimulatedCloud,
    demo_cloud,
)
from demo.aliyun.estate import Estate, demo_estate
from demo.aliyun.server import CloudServer

__all__ = [
    "BLIND",
    "CUSTOM",
    "GROUPED",
    "JIA_UID",
    "OLD",
    "OPERATIONS",
    "READ_ONLY",
    "REVOKED",
    "ROOT",
    "WRITER",
    "YI_READ_ONLY",
    "YI_UID",
    "CloudServer",
    "Credentials",
    "Estate",
    "Fault",
    "FaultKind",
    "SimulatedCloud",
    "demo_cloud",
    "demo_estate",
]
