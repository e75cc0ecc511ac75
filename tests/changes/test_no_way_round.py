"""No sequence of service calls reaches `executing` with a gate unmet.

What a gate is stands in `tests.changes.issue_model`, written from the issue: the gates of the product are not asked.
Each case is one sort of change: of no asset, of several, a patch by hand, by a script or without instances, the closing
of ports, a standard change. Noise round its right path flips environments, tells another risk after the approval, and
records backups of any age.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, Role, User
from accounts.windows import Once
from assets.models import Asset
from assets.services import inventory
from assets.services.inventory import Ownership
from changes.models import Change, ChangeState
from changes.services import approving, confirming, drafting, evidence, executing, freezing, scheduling, templates
from changes.services.templates import Described
from incidents.models import Incident
from incidents.services import attestations
from tests.changes.conftest import WINDOW, content, look, place, prepared
from tests.changes.hosts import approved, script
from tests.changes.issue_model import NOTHING, Content, Model, Person
from tests.conftest import NOW, make_person

pytestmark = pytest.mark.usefixtures("contacts")
Call = Callable[[Change, User, datetime], object]
CHEN, LIN, ALICE, BOB, ROOT = range(5)
Step = tuple[str, int]
FIRST: tuple[Step, ...] = (("submit", CHEN), ("risk x", CHEN), ("sign", ALICE))
OWNER: tuple[Step, ...] = (("yes", LIN), ("yes", ALICE))
SECURITY: tuple[Step, ...] = (("yes", LIN), ("yes", ROOT), ("yes", ALICE))
LAST: tuple[Step, ...] = (("schedule", CHEN),)
TEST, WEB = ("test staging", CHEN), ("backup web", CHEN)
SOP = ("sop", ALICE)
PROVEN, UNPROVEN = {"patch": "CVE-1"}, {"patch": "CVE-2"}


@dataclass(frozen=True)
class Sort:
    """One sort of change with the path that leads to its beginning, or with all of it to nowhere."""

    path: tuple[Step, ...]
    operation: str = "windows-role"
    fields: Mapping[str, object] = field(default_factory=lambda: {"what": "queueLength"})
    assets: tuple[str, ...] = ("web",)
    begins: bool = True
    is_patch: bool = False
    is_proven: bool = False
    is_standard: bool = False

    @property
    def ours(self) -> int:
        return 1 if self.operation == "windows-role" else 2


SORTS = {
    "one asset": Sort((*FIRST, TEST, WEB, *OWNER, *LAST)),
    "two assets": Sort((*FIRST, TEST, WEB, ("backup spare", CHEN), *OWNER, *LAST), assets=("web", "spare")),
    "no asset": Sort(
        (*FIRST, TEST, (f"backup {NOTHING}", CHEN), *SECURITY, *LAST),
        operation="dns-record", fields={"action": "delete", "domain": "example.com"}, assets=(),
    ),
    "ports": Sort((*FIRST, TEST, WEB, *SECURITY, *LAST), operation="port-closing", fields={"ports": "8080"}),
    "patch": Sort(
        (*FIRST, TEST, SOP, WEB, *SECURITY, *LAST),
        operation="linux-patch", fields=PROVEN, is_patch=True, is_proven=True,
    ),
    "patch nobody tried": Sort(
        (*FIRST, TEST, SOP, WEB, *SECURITY, *LAST),
        operation="linux-patch", fields=UNPROVEN, is_patch=True, begins=False,
    ),
    "patch on what is tested on": Sort(
        (*FIRST, TEST, SOP, ("backup staging", CHEN), *SECURITY, *LAST),
        operation="linux-patch", fields=UNPROVEN, is_patch=True, assets=("staging",),
    ),
    "patch of the cloud": Sort(
        (*FIRST, TEST, SOP, WEB, *SECURITY, *LAST),
        operation="cloud-patch", fields=PROVEN, is_patch=True, is_proven=True,
    ),
    "patch in a script": Sort(
        (*FIRST, TEST, SOP, WEB, *SECURITY, *LAST),
        operation="script-run", fields={"script": "patch-it"}, is_patch=True, is_proven=True,
    ),
    "patch in a script nobody tried": Sort(
        (*FIRST, TEST, SOP, WEB, *SECURITY, *LAST),
        operation="script-run", fields={"script": "patch-other@1"}, is_patch=True, begins=False,
    ),
    "standard": Sort((("submit", CHEN), WEB, *LAST), is_standard=True),
    "standard patch": Sort(
        (("submit", CHEN), SOP, WEB, *LAST),
        operation="linux-patch", fields=PROVEN, is_patch=True, is_proven=True, is_standard=True,
    ),
    "emergency": Sort(
        (("submit", CHEN), ("emergency", LIN), ("risk x", CHEN), ("hear", CHEN), WEB, ("yes", LIN)),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """A customer with its people and machines, and a patch that went through on one of them."""

    customer: Customer
    incident: Incident
    people: tuple[User, ...]
    assets: Mapping[str, Asset]

    @property
    def cast(self) -> list[Person]:
        return [
            Person("chen", is_provider=True),
            Person("lin", is_provider=True, is_manager=True),
            Person("alice", is_provider=False, is_customer_pm=True),
            Person("bob", is_provider=False, is_customer_pm=True),
            Person("root", is_provider=True, is_manager=True),
        ]

    def begin(self, sort: Sort) -> tuple[Change, Model]:
        """A draft of this sort, and the model of it."""
        chen, lin, alice = self.people[:3]
        touched = [self.assets[name] for name in sort.assets]
        model = Model(
            window=WINDOW,
            authors={"alice", "chen"},
            content=Content("first", sort.assets),
            ours=sort.ours,
            is_patch=sort.is_patch,
            is_proven=sort.is_proven,
            must_sign=sort.operation == "port-closing",
            is_standard=sort.is_standard,
            environment={"web": "production", "staging": "test", "spare": "test"},
        )
        if not sort.is_standard:
            made = drafting.draft(
                customer=self.customer, content=self.content(sort, "first"), incident=self.incident, actor=chen, now=NOW
            )
            return made, model
        described = Described(
            name="Often", operation=sort.operation, fields=sort.fields, assets=tuple(touched), plan="x", rollback="x",
            risk_text="x", valid_until=NOW.date() + timedelta(days=90),
        )  # fmt: skip
        template = templates.create(customer=self.customer, said=described, actor=chen, now=NOW)
        assert template.attestation is not None
        attestations.sign(attestation=template.attestation, actor=alice, ip=None, now=NOW)
        template = templates.approve(template=template, actor=lin, now=NOW)
        model.told = {name: model.environment[name] for name in sort.assets}
        made = drafting.draft_standard(template=template, assets=touched, incident=self.incident, actor=chen, now=NOW)
        return made, model

    def content(self, sort: Sort, plan: str, *, stripped: bool = False, **said: object) -> drafting.Content:
        touched = () if stripped else tuple(self.assets[name] for name in sort.assets)
        return content(*touched, operation=sort.operation, fields=dict(sort.fields), plan=plan, **said)

    def call(self, sort: Sort, name: str) -> Call:  # noqa: PLR0911 - one branch a call
        """The service behind a name of the model's."""
        match name.split(" "):
            case [asset, "is", environment]:
                return lambda _change, actor, now: inventory.set_owner(
                    assets=[self.assets[asset]], ownership=Ownership(environment=environment), actor=actor, now=now
                )
            case ["edit"]:
                return lambda change, actor, now: self._edit(change, self.content(sort, f"at {now}"), actor, now)
            case ["waive"]:
                waived = self.content(sort, "x", test_waiver="no", backup_waiver="no")
                return lambda change, actor, now: self._edit(change, waived, actor, now)
            case ["strip"]:
                return lambda change, actor, now: self._edit(change, self.content(sort, "x", stripped=True), actor, now)
            case ["risk", text]:
                return lambda change, actor, now: confirming.tell_risk(change=change, text=text, actor=actor, now=now)
            case ["test" | "fail-test" as verdict, asset]:
                return lambda change, actor, now: evidence.record_test(
                    change=change, asset=Asset.objects.get(pk=self.assets[asset].pk), has_passed=verdict == "test",
                    what="x", tested_at=now, actor=actor, now=now,
                )  # fmt: skip
            case ["backup" | "old-backup" as age, asset]:
                return lambda change, actor, now: self._back_up(change, asset, age, actor, now)
            case ["retire"]:
                return self._retire
            case ["freeze"]:
                return lambda _change, actor, now: freezing.create(
                    customer=self.customer, kind="freeze", name="x", windows=[Once(*WINDOW)], actor=actor, now=now
                )
        return PLAIN[name]

    def _edit(self, change: Change, said: drafting.Content, actor: User, now: datetime) -> None:
        drafting.edit(change=change, content=said, actor=actor, now=now)

    def _back_up(self, change: Change, name: str, age: str, actor: User, now: datetime) -> None:
        """A snapshot of an asset, or where there is none a file."""
        asset = self.assets.get(name)
        said = {"method": "snapshot", "reference": "s-bp1abc2def3", "sha256": ""}
        if asset is None:
            said = {"method": "file", "reference": "/var/backup/zone", "sha256": "0" * 64}
        taken_at = now if age == "backup" else now - timedelta(days=8)
        evidence.record_backup(change=change, asset=asset, **said, taken_at=taken_at, actor=actor, now=now)

    def _retire(self, change: Change, actor: User, now: datetime) -> None:
        if change.template is None:
            raise DomainError("there is nothing to retire")
        templates.retire(template=change.template, actor=actor, now=now)


def _sign(change: Change, actor: User, now: datetime) -> None:
    change.refresh_from_db()
    if change.confirmation is None:
        raise DomainError("there is nothing to sign")
    attestations.sign(attestation=change.confirmation, actor=actor, ip=None, now=now)
    confirming.answered(attestation_id=change.confirmation.pk, now=now)


def _attach(change: Change, actor: User, now: datetime) -> None:
    file = SimpleUploadedFile("sop.pdf", b"%PDF-1.7 x")
    evidence.attach(change=change, file=file, purpose="sop", actor=actor, now=now)


def _vote(is_yes: bool) -> Call:
    return lambda change, actor, now: approving.decide(change=change, is_yes=is_yes, words="x", actor=actor, now=now)


PLAIN: dict[str, Call] = {
    "submit": lambda change, actor, now: drafting.submit(change=change, actor=actor, now=now),
    "emergency": lambda change, actor, now: drafting.make_emergency(change=change, reason="x", actor=actor, now=now),
    "sign": _sign,
    "hear": lambda change, actor, now: confirming.hear(change=change, name="A", words="", actor=actor, now=now),
    "sop": _attach,
    "yes": _vote(is_yes=True),
    "no": _vote(is_yes=False),
    "ask-again": lambda change, actor, now: approving.ask_again(change=change, actor=actor, now=now),
    "schedule": lambda change, actor, now: scheduling.schedule(
        change=change, starts_at=WINDOW[0], ends_at=WINDOW[1], actor=actor, now=now
    ),
    "overrule": lambda change, actor, now: scheduling.overrule_freeze(change=change, reason="x", actor=actor, now=now),
    "begin": lambda change, actor, now: executing.begin(change=change, actor=actor, now=now),
    "cancel": lambda change, actor, now: drafting.cancel(change=change, reason="x", actor=actor, now=now),
    "fail": lambda change, actor, now: executing.fail(change=change, reason="x", actor=actor, now=now),
}
NAMES = (
    *PLAIN, "edit", "waive", "strip", "risk x", "risk y", "test staging", "fail-test staging", "test spare", "test web",
    "backup web", "backup spare", f"backup {NOTHING}", "old-backup web", f"old-backup {NOTHING}", "retire", "freeze",
)  # fmt: skip
FLIPS = tuple(f"{name} is {which}" for name in ("web", "staging", "spare") for which in ("test", "production"))
TEMPTING = (
    "risk y",
    "risk x",
    "sign",
    "yes",
    "hear",
    "emergency",
    "old-backup web",
    "backup web",
    "sop",
    "begin",
    *FLIPS,
)
WHO, HOURS = st.integers(CHEN, ROOT), st.sampled_from([0, 0, 0, 1, 5, 24 * 8])
NOISE = st.lists(st.tuples(st.sampled_from(TEMPTING), WHO, st.sampled_from([0, 0, 0, 1])), max_size=7)
ANYTHING = st.lists(st.tuples(st.sampled_from([*NAMES, *FLIPS]), WHO, HOURS), max_size=7)


@pytest.fixture
def world(
    jia: Customer, incident: Incident, web: Asset, staging: Asset, chen: User, lin: User, alice: User, bob: User,
    root: User,
) -> Iterator[World]:  # fmt: skip
    """The patch CVE-1 went through on `spare`, on the whole path."""
    spare, rita = place(jia, "spare", "test"), make_person("rita", Role.MANAGER)
    with scope.customer(jia):
        approved(script("x", only_reads=False, patch="CVE-1"), chen, lin, code="patch-it")
        approved(script("x", only_reads=False, patch="CVE-3"), chen, lin, code="patch-other")
        first = drafting.draft(
            customer=jia, content=content(spare, operation="linux-patch", fields=PROVEN), incident=incident, actor=chen,
            now=NOW,
        )  # fmt: skip
        _attach(first, alice, NOW)
        prepared(first, spare, staging, chen=chen, alice=alice, lin=lin, security=(rita,))
        executing.begin(change=first, actor=chen, now=WINDOW[0])
        look(first, chen)
        executing.finish_work(change=first, result="Installed", actor=chen, now=WINDOW[0])
        executing.sign_off(change=first, words="", actor=alice, now=WINDOW[0])
        yield World(jia, incident, (chen, lin, alice, bob, root), {"web": web, "staging": staging, "spare": spare})


def press(world: World, sort: Sort, change: Change, model: Model, step: Step, now: datetime) -> bool:
    """Whether the product let it happen; nothing that the model forbids begins."""
    name, who = step
    change.refresh_from_db()
    before, lacks = change.stage, model.missing(now)
    try:
        with transaction.atomic():
            world.call(sort, name)(change, world.people[who], now)
    except (DomainError, PermissionDenied):
        return False
    model.hear(name, world.cast[who], now)
    change.refresh_from_db()
    if change.state == ChangeState.EXECUTING and before != change.stage:
        assert lacks == [], (name, lacks)
        assert name == "begin"
        assert world.cast[who].is_provider
    if change.state == ChangeState.READY and before != change.stage:
        assert set(model.missing(now)) <= {"in its window"}, (name, model)
    return True


def test_no_sequence_of_calls_begins_with_a_gate_unmet(world: World) -> None:
    """Of each sort: part of the right path, noise, the rest of it, whatever comes; then the begin."""
    begun: set[str] = set()

    def tried(case: str) -> None:
        sort = SORTS[case]
        shares = st.sampled_from([*[len(sort.path)] * 3, *range(len(sort.path))])

        @settings(
            max_examples=4,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        )
        @given(noise=NOISE, steps=ANYTHING, share=shares)
        def attempt(noise: list[tuple[str, int, int]], steps: list[tuple[str, int, int]], share: int) -> None:
            right = [(name, who, 0) for name, who in sort.path]
            with transaction.atomic():
                change, model = world.begin(sort)
                now = NOW
                for name, who, hours in [*right[:share], *noise, *right[share:], *steps, ("begin", CHEN, 1)]:
                    now += timedelta(hours=hours)
                    press(world, sort, change, model, (name, who), now)
                if change.begun_at is not None:
                    begun.add(case)
                transaction.set_rollback(True)

        attempt()

    for case in SORTS:
        tried(case)
    assert len(begun) > 3, "the right path leads somewhere"


def test_the_right_path_begins_and_without_one_of_its_steps_it_does_not(world: World) -> None:
    """The model refuses exactly where the product does: a model that forbade nothing would let the test above pass."""
    for case, sort in SORTS.items():
        for left_out in (None, *range(len(sort.path))):
            with transaction.atomic():
                change, model = world.begin(sort)
                for at, step in enumerate(sort.path):
                    if at != left_out:
                        press(world, sort, change, model, step, NOW)
                may = not model.missing(WINDOW[0])
                assert press(world, sort, change, model, ("begin", CHEN), WINDOW[0]) is may, (case, left_out, model)
                assert may is (left_out is None and sort.begins), (case, left_out, model)
                transaction.set_rollback(True)


WAYS_ROUND: dict[str, tuple[str, tuple[Step, ...]]] = {
    "the risk is written anew after the approval": (
        "one asset", (*SORTS["one asset"].path, ("risk y", CHEN), ("sign", ALICE)),
    ),
    "the spoken yes was about something else": (
        "emergency", (*SORTS["emergency"].path[:4], WEB, ("risk y", CHEN), ("yes", LIN)),
    ),
    "a backup of last week": (
        "one asset", (*FIRST, TEST, ("old-backup web", CHEN), *OWNER, *LAST),
    ),
    "an emergency on a backup of last week": (
        "emergency", (*SORTS["emergency"].path[:4], ("old-backup web", CHEN), ("yes", LIN)),
    ),
    "one of two assets is not backed up": (
        "two assets", (*FIRST, TEST, WEB, *OWNER, *LAST),
    ),
    "production is called a test machine while it is patched": (
        "patch nobody tried", (*FIRST, TEST, SOP, WEB, ("web is test", CHEN), *SECURITY, *LAST),
    ),
    "it is told of as a test machine and is production again": (
        "patch nobody tried",
        (("submit", CHEN), ("web is test", CHEN), *FIRST[1:], ("web is production", CHEN), TEST, SOP, WEB, *SECURITY,
         *LAST),
    ),
    "the machine that proved it is production again": (
        "patch", (*FIRST, TEST, SOP, WEB, ("spare is production", CHEN), *SECURITY, *LAST),
    ),
    "it was tested on what is production again": (
        "one asset", (*FIRST, TEST, WEB, *OWNER, *LAST, ("staging is production", CHEN)),
    ),
    "a standard patch calls its machine something else": (
        "standard patch",
        (("submit", CHEN), SOP, WEB, *LAST, ("web is test", CHEN), ("spare is production", CHEN)),
    ),
    "the cloud's patch loses its instances": (
        "patch of the cloud", (("strip", CHEN), *FIRST, TEST, SOP, (f"backup {NOTHING}", CHEN), *SECURITY, *LAST),
    ),
}  # fmt: skip


def test_known_ways_round_lead_nowhere(world: World) -> None:
    for way, (case, path) in WAYS_ROUND.items():
        with transaction.atomic():
            change, model = world.begin(SORTS[case])
            for step in path:
                press(world, SORTS[case], change, model, step, NOW)
            assert model.missing(WINDOW[0]), f"the model knows: {way}"
            assert not press(world, SORTS[case], change, model, ("begin", CHEN), WINDOW[0]), way
            transaction.set_rollback(True)
