"""The places that sites are asked from, and what their answers mean together.

A location is a name in RDMP_PROBE_POINTS. A local one is this machine; any other is a worker somewhere else that
listens to the queue of its name. Several locations answer one question in a round; a location that could not ask
counts as missing: neither as failed nor as passed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from monitoring.collectors import Job, Outcome, Problem, Step, labels_text
from monitoring.collectors.config import Kind
from monitoring.collectors.config.machines import TcpConfig
from monitoring.collectors.config.web import NATIONWIDE, FlowConfig, HttpConfig

POINTS_PER_URL: Final = 3
"""SOW 2.2.1: three probe points for each URL."""
LOCAL: Final = "local"

PASSED, TIMED_OUT, REFUSED, WRONG_STATUS, TEXT_MISSING, NOT_RESOLVED, CERTIFICATE, OTHER = range(8)
TOO_SLOW, TOO_LARGE, WRONG_VALUE, FORBIDDEN_TEXT, STEP_FAILED = range(8, 13)
CODES: Final = {"timeout": TIMED_OUT, "refused": REFUSED, "dns": NOT_RESOLVED, "tls": CERTIFICATE}
PORT_CODES: Final = {"timeout": 1, "refused": 2, "reset": 2, "dns": 5, "unreachable": 5}

PHASES: Final = ("dns", "connect", "tls", "first_byte", "download")


@dataclass(frozen=True, slots=True)
class Location:
    """A place to ask from: its name, how people call it, whose network it is in, and its country."""

    slug: str
    label: str = ""
    isp: str = ""
    country: str = LOCAL

    @classmethod
    def parse(cls, text: str) -> Self:
        """``hangzhou:杭州:电信:CN``; a name alone, or the country ``local``, is this machine."""
        slug, label, isp, country = (part.strip() for part in (*text.split(":"), "", "", "")[:4])
        if not re.fullmatch(r"[a-z0-9-]{1,30}", slug):
            raise ValueError(f"{text!r}: a probe point is named with small letters, digits and hyphens")
        return cls(slug, label or slug, isp, country or LOCAL)

    @property
    def is_local(self) -> bool:
        return self.country == LOCAL

    @property
    def is_nationwide(self) -> bool:
        return self.is_local or self.country.upper() == "CN"

    @property
    def queue(self) -> str:
        """Where a worker of this location waits, unless it is this machine."""
        return f"probe-{self.slug}"

    @property
    def title(self) -> str:
        return f"{self.label} {self.isp}".strip()


def locations_of(texts: Iterable[str]) -> dict[str, Location]:
    """The locations of a setting by their names. Raises ValueError."""
    return {location.slug: location for location in map(Location.parse, texts)}


def chosen(config: Any, locations: Mapping[str, Location]) -> list[Location]:
    """The places that ask for this target: those it names, else the first three of its area (R31: nationwide)."""
    named = [locations[slug] for slug in getattr(config, "points", ()) if slug in locations]
    if named or not is_placed(config):
        return named
    near = [one for one in locations.values() if one.is_nationwide]
    if getattr(config, "area", NATIONWIDE) == NATIONWIDE:
        return (near or list(locations.values()))[:POINTS_PER_URL]
    far = [one for one in locations.values() if not one.is_nationwide]
    return [*far[: POINTS_PER_URL - 1], *near, *far[POINTS_PER_URL - 1 :]][:POINTS_PER_URL]


def is_placed(config: Any) -> bool:
    """Whether locations ask this target; everything else is asked by the platform itself."""
    return isinstance(config, HttpConfig | FlowConfig) or (isinstance(config, TcpConfig) and bool(config.points))


@dataclass(frozen=True, slots=True)
class StepResult:
    """One request of a check: how it went and where its time went, in milliseconds."""

    name: str
    code: int
    took_ms: float
    status: int = 0
    detail: str = ""
    phases: Mapping[str, float] = field(default_factory=dict)
    found: Mapping[str, int] = field(default_factory=dict)
    """Variables taken out of the answer, with the length of each: the values may be secrets."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one location found. ``problem`` is set when it could not ask at all."""

    point: str
    code: int
    took_ms: float
    status: int = 0
    detail: str = ""
    reason: str = ""
    """The code of `monitoring.problems` for what went wrong on the way."""
    problem: Problem | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    address: str = ""
    certificate_ends: float | None = None
    steps: tuple[StepResult, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        problem = values.get("problem")
        steps = tuple(StepResult(**one) for one in values.get("steps", ()))
        return cls(**{**values, "problem": Problem(**problem) if problem else None, "steps": steps})


def quorum(points: int, wished: int = 0) -> int:
    """How many of so many points must fail before the site has failed: two thirds of them, rounded up."""
    return min(wished, points) if wished else -(-2 * points // 3)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a round says of the site: None when too few places could ask to say anything."""

    asked: int
    failed: int
    is_down: bool | None


def verdict(answers: Sequence[Answer], *, points: int, wished: int = 0) -> Verdict:
    """Two of three failing is an outage, one of three a regional trouble. Missing places never make an outage: with
    fewer answers than the quorum nothing is said."""
    asked = [answer for answer in answers if answer.problem is None]
    failed = sum(answer.code != PASSED for answer in asked)
    needed = quorum(points, wished)
    return Verdict(len(asked), failed, failed >= needed if len(asked) >= needed else None)


@dataclass(slots=True)
class RoundOutcome(Outcome):
    """An outcome with what each place said, for people who look at it."""

    answers: Sequence[Answer] = ()


def outcome_of(job: Job[Any], answers: Sequence[Answer], *, points: int, at_ms: int) -> RoundOutcome:
    """The figures of a round, all at the round's own moment: said twice, they are stored once."""
    outcome = RoundOutcome(
        job.target_id, took_ms=max((answer.took_ms for answer in answers), default=0.0), answers=answers
    )
    for answer in answers:
        text = f"{answer.point}: {answer.detail or answer.reason or f'HTTP {answer.status}'} {answer.took_ms:.0f} ms"
        outcome.steps.append(Step("point", text, ok=answer.problem is None and answer.code == PASSED))
    said = verdict(answers, points=points, wished=job.config.quorum)
    if said.asked == 0:
        outcome.problem = next((answer.problem for answer in answers if answer.problem), Problem("points_missing"))
        return outcome
    if said.is_down is None:
        outcome.problem = Problem("points_missing", f"{said.asked}/{points}")
    if isinstance(job.config, TcpConfig):
        _port(job, answers, said, outcome, at_ms)
    else:
        _site(job, answers, said, outcome, at_ms)
    return outcome


def _port(job: Job[Any], answers: Sequence[Answer], said: Verdict, outcome: Outcome, at: int) -> None:
    port = str(job.config.port)
    asked = [answer for answer in answers if answer.problem is None]
    for answer in asked:
        labels = labels_text({"port": port, "point": answer.point})
        outcome.add(job, "port.point.result_code", at, answer.code, labels)
        if answer.code == PASSED:
            outcome.add(job, "port.point.connect_ms", at, answer.took_ms, labels)
    if said.is_down is not None:
        bad = max((answer.code for answer in asked), default=0) if said.is_down else 0
        outcome.add(job, "port.result_code", at, bad, labels_text({"port": port}))
    if passed := [answer.took_ms for answer in asked if answer.code == PASSED]:
        outcome.add(job, "port.connect_ms", at, min(passed), labels_text({"port": port}))


def _site(job: Job[Any], answers: Sequence[Answer], said: Verdict, outcome: Outcome, at: int) -> None:
    url = job.config.url
    labels = labels_text({"url": url})
    for answer in answers:
        if answer.problem is None:
            its = labels_text({"url": url, "point": answer.point})
            outcome.add(job, "url.point.result_code", at, answer.code, its)
            if answer.status:
                outcome.add(job, "url.latency_ms", at, answer.took_ms, its)
                outcome.add(job, "url.status_code", at, answer.status, its)
    if said.is_down is not None:
        outcome.add(job, "url.result_code", at, int(said.is_down), labels)
    outcome.add(job, "url.failed_points", at, said.failed, labels)
    outcome.add(job, "url.points", at, said.asked, labels)
    ends = [answer.certificate_ends for answer in answers if answer.certificate_ends is not None]
    if ends:
        days = (min(ends) - at / 1000) / 86_400
        outcome.steps.append(Step("certificate", f"{days:.1f}", ok=days > 0))
        outcome.add(job, "url.cert_days_left", at, days, labels)


PLACED_KINDS: Final = frozenset({Kind.HTTP, Kind.FLOW, Kind.TCP})
