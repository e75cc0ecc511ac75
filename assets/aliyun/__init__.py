"""The one adapter to Alibaba Cloud: nothing else in the platform imports its SDKs, and nothing of them leaves it.

It holds no Django and only reads, but for the AccessKeys in `ram`. One `Client` per account is shared by threads;
whatever goes wrong is an `AliyunError`, whose text never holds a secret or a signed URL.
"""

from assets.aliyun.client import Client, Datapoint, Identity, KeyFacts, MetricMeta, MetricPage, Region
from assets.aliyun.resources import Resource
from assets.aliyun.transport import AliyunError, Patience, Watch

__all__ = [
    "AliyunError",
    "Client",
    "Datapoint",
    "Identity",
    "KeyFacts",
    "MetricMeta",
    "MetricPage",
    "Patience",
    "Region",
    "Resource",
    "Watch",
]
