"""Kafka: a broker's JMX over Jolokia, and the lag of consumer groups from kafka_exporter's page.

Kafka gives queue times in milliseconds; the contract's "大于 3 秒" is judged in seconds, so they are divided here.
"""

from __future__ import annotations

from typing import Any, Final

from monitoring.collectors.products import jolokia, pages
from monitoring.collectors.products.frame import Prerequisite, Product, Visit
from monitoring.collectors.products.jolokia import JVM, Read

REQUESTS: Final = ("Produce", "Fetch")
UNDER_REPLICATED: Final = Read("kafka.server:type=ReplicaManager,name=UnderReplicatedPartitions", ("Value",))
OFFLINE: Final = Read("kafka.controller:type=KafkaController,name=OfflinePartitionsCount", ("Value",))
CONTROLLER: Final = Read("kafka.controller:type=KafkaController,name=ActiveControllerCount", ("Value",))
MESSAGES: Final = Read("kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec", ("Count",))
BYTES_IN: Final = Read("kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec", ("Count",))
BYTES_OUT: Final = Read("kafka.server:type=BrokerTopicMetrics,name=BytesOutPerSec", ("Count",))
APP_INFO: Final = Read("kafka.server:type=app-info,*")
QUEUES: Final = tuple(
    (metric, request, Read(f"kafka.network:type=RequestMetrics,name={name},request={request}", ("99thPercentile",)))
    for metric, name in (
        ("kafka.request_queue_s", "RequestQueueTimeMs"),
        ("kafka.response_queue_s", "ResponseQueueTimeMs"),
    )
    for request in REQUESTS
)
OWN: Final = (UNDER_REPLICATED, OFFLINE, CONTROLLER, MESSAGES, BYTES_IN, BYTES_OUT, APP_INFO)


async def collect(visit: Visit) -> None:
    reads = (*JVM, *OWN, *(read for _, _, read in QUEUES))
    async with visit.http() as http:
        values = await jolokia.ask(http, visit.config.path or jolokia.PATH, reads)
    common, own, queues = values[: len(JVM)], values[len(JVM) : len(JVM) + len(OWN)], values[len(JVM) + len(OWN) :]
    under, offline, controller, messages, bytes_in, bytes_out, infos = own
    if under is None:
        visit.lacks("wrong_product", UNDER_REPLICATED.mbean)
    broker = next(iter(jolokia.named(infos, "id")), "") or visit.config.host
    jolokia.jvm(visit, common, app="kafka")
    for metric, value in (
        ("kafka.under_replicated", under),
        ("kafka.offline_partitions", offline),
        ("kafka.active_controllers", controller),
    ):
        if (figure := _number(value, "Value")) is not None:
            visit.add(metric, figure, broker=broker)
    for metric, value in (
        ("kafka.messages_in_per_s", messages),
        ("kafka.bytes_in_per_s", bytes_in),
        ("kafka.bytes_out_per_s", bytes_out),
    ):
        if (figure := _number(value, "Count")) is not None:
            visit.rate(metric, figure, broker=broker)
    for (metric, request, _), value in zip(QUEUES, queues, strict=True):
        if (figure := _number(value, "99thPercentile")) is not None:
            visit.add(metric, figure / 1000, broker=broker, request=request)


def _number(value: Any, attribute: str) -> float | None:
    """One attribute: Jolokia gives the bare value when one was asked for, and a map for several."""
    found = value.get(attribute) if isinstance(value, dict) else value
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


async def collect_lag(visit: Visit) -> None:
    """Lag per consumer group and topic: the sum over partitions."""
    async with visit.http() as http:
        page = pages.read(await http.get(visit.config.path or "/metrics"), "kafka_")
    if not page:
        visit.lacks("wrong_product", "kafka_consumergroup_lag")
    sums: dict[tuple[str, str], float] = {}
    for name, labels, value in page:
        if name == "kafka_consumergroup_lag":
            key = (labels.get("consumergroup", ""), labels.get("topic", ""))
            sums[key] = sums.get(key, 0.0) + max(value, 0.0)  # -1: the group has no offset there yet
        elif name == "kafka_brokers":
            visit.add("kafka.brokers", value)
    for (group, topic), lag in sums.items():
        visit.add("kafka.consumer_lag", lag, group=group, topic=topic)


PRODUCT: Final = Product(
    slug="kafka",
    name_zh="Kafka",
    name_en="Kafka",
    icon="timeline-event",
    port=jolokia.PORT,
    path=jolokia.PATH,
    user="rdmp",
    collect=collect,
    asks=frozenset({"user", "password", "tls", "path"}),
    needs="Kafka ≥ 0.10, Jolokia ≥ 1.6",
    prerequisites=jolokia.prerequisites(
        "在每个 broker 的启动环境中加入（改好密码）并逐个重启。",
        "Add to the environment of each broker (choose a password) and restart one after the other.",
        f'export KAFKA_OPTS="$KAFKA_OPTS {jolokia.AGENT}"',
    ),
)
LAG_PRODUCT: Final = Product(
    slug="kafka-lag",
    name_zh="Kafka 消费延迟",
    name_en="Kafka consumer lag",
    icon="timeline-event-exclamation",
    port=9308,
    path="/metrics",
    collect=collect_lag,
    asks=frozenset({"path", "tls", "user", "password"}),
    needs="kafka_exporter ≥ 1.2",
    is_middleware=False,
    prerequisites=(
        Prerequisite(
            "在能连到 Kafka 的任一主机上运行 kafka_exporter（只需一个）。",
            "Run kafka_exporter on any host that reaches Kafka (one is enough).",
            "kafka_exporter --kafka.server=127.0.0.1:9092 --web.listen-address=:9308",
        ),
        Prerequisite(
            "验证：应看到 kafka_consumergroup_lag。",
            "Verify: it must show kafka_consumergroup_lag.",
            "curl -s http://127.0.0.1:9308/metrics | grep kafka_consumergroup_lag",
        ),
    ),
)
