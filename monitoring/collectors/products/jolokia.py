"""JMX over HTTP as the Jolokia agent speaks it: many reads in one POST, each with a status of its own.

Protocol: https://jolokia.org/reference/html/manual/jolokia_protocol.html. What a JVM has in common with every other
JVM becomes the `java.*` figures here; products add what is theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from monitoring.collectors.products.frame import CannotReadError, Http, Prerequisite, Visit, share

PATH: Final = "/jolokia/"
PORT: Final = 8778


@dataclass(frozen=True, slots=True)
class Read:
    """Attributes of an MBean, or of all MBeans of a pattern."""

    mbean: str
    attributes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        asked: dict[str, object] = {"type": "read", "mbean": self.mbean, "config": {"ignoreErrors": True}}
        if self.attributes:
            asked["attribute"] = list(self.attributes) if len(self.attributes) > 1 else self.attributes[0]
        return asked


RUNTIME: Final = Read("java.lang:type=Runtime", ("StartTime", "Uptime", "SpecVersion", "VmName"))
MEMORY: Final = Read("java.lang:type=Memory", ("HeapMemoryUsage", "NonHeapMemoryUsage"))
SYSTEM: Final = Read("java.lang:type=OperatingSystem", ("ProcessCpuLoad", "SystemCpuLoad", "SystemLoadAverage"))
THREADING: Final = Read("java.lang:type=Threading", ("ThreadCount",))
JVM: Final = (RUNTIME, MEMORY, SYSTEM, THREADING)


async def ask(http: Http, path: str, reads: Sequence[Read]) -> list[Any]:
    """The value of each read, None where there is no such MBean. Raises CannotReadError for all else."""
    _, text = await http.ask("POST", path, json=[read.as_json() for read in reads])
    try:
        answers = json.loads(text)
    except ValueError:
        raise CannotReadError("wrong_page", f"Jolokia: {text[:80]!r}") from None
    if not isinstance(answers, list) or len(answers) != len(reads):
        raise CannotReadError("wrong_page", f"Jolokia: {text[:80]!r}")
    found: list[Any] = []
    for read, answer in zip(reads, answers, strict=True):
        status = answer.get("status")
        if status == 403:
            raise CannotReadError("forbidden", f"{read.mbean}: {answer.get('error', '')}"[:300])
        found.append(answer.get("value") if status == 200 else None)
    return found


def jvm(visit: Visit, values: Sequence[Any], *, app: str, prefix: str = "java") -> None:
    """Figures of the four reads of :data:`JVM`. Where a JVM has no limit (-1) there is no share of it."""
    runtime, memory, system, threading = (value if isinstance(value, Mapping) else {} for value in values)
    if not runtime or not memory:
        raise CannotReadError("wrong_page", "java.lang:type=Runtime")
    visit.counters.of_life(str(runtime.get("StartTime", "")))
    visit.fact("java", f"{runtime.get('VmName', '')} {runtime.get('SpecVersion', '')}".strip())
    visit.add(f"{prefix}.start_time", float(runtime["StartTime"]) / 1000, app=app)
    if (load := float(system.get("ProcessCpuLoad", -1))) >= 0:
        visit.add(f"{prefix}.cpu_load", load * 100, app=app)
    for name, part in (("heap", "HeapMemoryUsage"), ("nonheap", "NonHeapMemoryUsage")):
        usage = memory.get(part, {})
        if float(usage.get("max", -1)) > 0:
            visit.add(f"{prefix}.{name}.util", share(float(usage["used"]), float(usage["max"])), app=app)
    if prefix == "java" and "ThreadCount" in threading:
        visit.add("java.threads", float(threading["ThreadCount"]), app=app)


def named(value: object, wanted: str) -> dict[str, Mapping[str, Any]]:
    """The MBeans of a pattern by one property of their name: {'name': …} of `a:type=b,name=…`."""
    found: dict[str, Mapping[str, Any]] = {}
    if isinstance(value, Mapping):
        for mbean, attributes in value.items():
            properties = dict(part.partition("=")[::2] for part in str(mbean).partition(":")[2].split(","))
            if isinstance(attributes, Mapping):
                found[properties.get(wanted, "").strip('"')] = attributes
    return found


def prerequisites(where_zh: str, where_en: str, line: str) -> tuple[Prerequisite, ...]:
    """Installing the agent, with the one line that starts it in this product."""
    return (
        Prerequisite(
            "把 Jolokia 的 JVM agent（jolokia-agent-jvm-javaagent.jar）放到主机上，例如 /opt/jolokia/jolokia.jar，"
            "并建立只允许读取的策略文件。",
            "Put Jolokia's JVM agent (jolokia-agent-jvm-javaagent.jar) on the host, for example as "
            "/opt/jolokia/jolokia.jar, with a policy that allows reading only.",
            "cat > /opt/jolokia/policy.xml <<'X'\n"
            "<restrict>\n"
            "  <remote><host><RDMP></host></remote>\n"
            "  <commands><command>read</command><command>version</command></commands>\n"
            "</restrict>\n"
            "X",
        ),
        Prerequisite(where_zh, where_en, line),
        Prerequisite(
            "验证：应返回 HeapMemoryUsage。",
            "Verify: it must answer with HeapMemoryUsage.",
            "curl -u rdmp http://127.0.0.1:8778/jolokia/read/java.lang:type=Memory",
        ),
    )


AGENT: Final = (
    "-javaagent:/opt/jolokia/jolokia.jar=port=8778,host=0.0.0.0,user=rdmp,password=<PASSWORD>,"
    "policyLocation=file:///opt/jolokia/policy.xml"
)
