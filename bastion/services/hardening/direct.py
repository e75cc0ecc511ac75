"""Log-ins that went round the bastion: read from the servers, told from those that did not, reported, explained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.core.cache import cache
from django.db import transaction
from django.db.models import Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, Severity, User
from accounts.permissions import can_write
from assets.models import Asset, Credential, SshAccess
from bastion.access import own_name
from bastion.hardening import logins as reading
from bastion.hardening import matching
from bastion.hardening.logins import Login, Read
from bastion.hardening.matching import Known, Use, Verdict
from bastion.hardening.sources import network_of
from bastion.models import BastionSession, DirectLogin, HardenedServer, HardeningPolicy, Node, SessionFact
from bastion.services.hardening import asking, judging, policies
from bastion.services.hardening.rights import require
from incidents import locks, timeline
from incidents.models import UNSOLVED_STATES, Incident, IncidentKind, TimelineEntry
from incidents.services import opening
from notify import live

EVERY: Final = timedelta(minutes=30)
FIRST_LOOK: Final = timedelta(days=1)
"""Of a server that is read for the first time: what was long before nobody has agreed to watch."""
OVERLAP: Final = timedelta(minutes=30)
"""Read once more each time: a log is not written in the order of its moments, and clocks are set."""
FARTHEST: Final = timedelta(days=30)
AT_ONCE: Final = 24
MOST_TOLD: Final = 20
MOST_NEW: Final = 500
"""Of one reading; what is left comes with the next: a server may make up as many as it likes."""
MOST_INCIDENTS: Final = 5
"""Sources that have an incident each at one reading; of more, one incident tells."""
SAME: Final = timedelta(seconds=15)
"""A clock that was set meanwhile moves a moment by some seconds."""
SHORTEST_EXPLANATION: Final = 5
ASKING: Final = "bastion-reads-logins"
LONGEST_TURN_S: Final = 600
"""Of a turn that was killed nobody says that it is over."""
Clock = Callable[[], datetime]


def follow_servers(*, now: datetime) -> int:
    """Every server whose key is confirmed has its turn; how many are new. Within the platform's scope."""
    off = HardeningPolicy.objects.filter(asset=None, reads_logins=False).values("customer_id")
    reached = SshAccess.objects.exclude(host_key="").values("asset_id")
    wanted = policies.held_to_it().filter(customer__status=Customer.Status.IN_SERVICE, pk__in=reached)
    wanted = wanted.exclude(customer__in=off)
    HardenedServer.objects.exclude(asset__in=wanted).exclude(logins_due_at=None).update(logins_due_at=None)
    waiting = HardenedServer.objects.filter(asset__in=wanted, logins_due_at=None).update(logins_due_at=now)
    new = list(wanted.filter(hardening=None).values_list("pk", "customer_id"))
    HardenedServer.objects.bulk_create(
        [HardenedServer(customer_id=customer_id, asset_id=pk, logins_due_at=now) for pk, customer_id in new],
        ignore_conflicts=True,
    )
    return waiting + len(new)


def claim(*, now: datetime) -> list[tuple[int, int]]:
    """Servers whose turn it is, with their customers; whoever dies with one has another turn at the next time."""
    with transaction.atomic():
        rows = HardenedServer.objects.select_for_update(skip_locked=True, of=("self",)).filter(logins_due_at__lte=now)
        due = list(rows.order_by("logins_due_at", "pk").values_list("pk", "customer_id", "asset_id")[:AT_ONCE])
        HardenedServer.objects.filter(pk__in=[pk for pk, *_rest in due]).update(logins_due_at=now + EVERY)
    return [(customer_id, asset_id) for _pk, customer_id, asset_id in due]


def read(*, assets: Sequence[Asset], clock: Clock) -> int:
    """Ask these servers of one customer who has logged in; how many direct log-ins were found."""
    asked = _asked(assets, clock())
    return _keep_all(assets, asked, asking.ask(asked.errands), clock())


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of servers, by asset, and from when on."""

    errands: Mapping[int, asking.Errand | str]
    since: Mapping[int, datetime]


def _asked(assets: Sequence[Asset], now: datetime) -> _Asked:
    servers = {row.asset_id: row for row in HardenedServer.objects.filter(asset__in=assets)}
    since = {asset.pk: _since(servers.get(asset.pk), now) for asset in assets}
    values = {pk: {"since": str(int(at.timestamp()))} for pk, at in since.items()}
    made = asking.script("logins.sh", timeout_s=100)
    errands = asking.errands(assets, made, values, reason="direct log-ins", actor=None, now=now)
    return _Asked(errands, since)


def _keep_all(assets: Sequence[Asset], asked: _Asked, answers: Mapping[int, asking.Answer], now: datetime) -> int:
    found = 0
    for asset in assets:
        answer, since = answers[asset.pk], asked.since[asset.pk]
        said = None if answer.problem else reading.read(answer.text, now=answer.asked_at or now)
        judging.note_address(asset, answer.seen_as)
        found += keep(asset=asset, said=said, problem=answer.problem, asked_from=since, now=now)
    return found


def _since(server: HardenedServer | None, now: datetime) -> datetime:
    upto = None if server is None else server.logins_upto
    skew = timedelta(seconds=0 if server is None or server.skew_s is None else min(abs(server.skew_s), 86_400))
    return max(now - FIRST_LOOK if upto is None else upto - OVERLAP - skew, now - FARTHEST)


@transaction.atomic
def keep(*, asset: Asset, said: Read | None, problem: str, asked_from: datetime, now: datetime) -> int:
    """Write down what one server told; how many direct log-ins are new."""
    locks.hold_customer(asset.customer)
    server, _made = HardenedServer.objects.get_or_create(asset=asset, defaults={"customer_id": asset.customer_id})
    server = HardenedServer.objects.select_for_update(of=("self",)).get(pk=server.pk)
    server.logins_problem = problem[:40] or ("no_answer" if said is None else "blind" if said.is_blind else "")
    if said is None:
        server.save(update_fields=["logins_problem"])
        return 0
    server.logins_read_at, server.skew_s, server.logins_from = now, said.skew_s, ", ".join(said.sources)
    new: list[DirectLogin] = []
    if not said.is_blind:
        told = [one for one in said.logins if asked_from <= one.at <= now + timedelta(minutes=5)]
        if server.logins_upto is not None and said.since is not None and said.since > server.logins_upto:
            server.logins_gap_at = said.since
        new = _new(asset, _direct(asset, server, told), now)
        if len(new) < MOST_NEW:
            server.logins_upto = now
    server.save()
    if new:
        _report(asset, new, now)
        live.publish(customer_id=asset.customer_id, topic="hardening", object_id=0)
    return len(new)


def _direct(asset: Asset, server: HardenedServer, told: Sequence[Login]) -> list[Login]:
    if not told:
        return []
    first, last = told[0].at - timedelta(minutes=10), told[-1].at + timedelta(minutes=10)
    judged = matching.judge(told, _sessions(asset, server, first, last), _uses(asset, first, last), server.platform)
    return [one.login for one in judged if one.verdict is Verdict.DIRECT]


def _sessions(asset: Asset, server: HardenedServer, first: datetime, last: datetime) -> list[Known]:
    """Each moment at which a session connected: when it began, and when it had to connect anew while it ran."""
    entries = tuple(policies.of(asset.customer).bastions)

    def known(row: BastionSession, since: datetime, until: datetime) -> Known:
        beside = tuple(server.platform) if row.node.customer_id is None else ()
        account = own_name(row.account) or row.account
        return Known(row.pk, account, since, max(since, until), entries + _own_addresses(row.node) + beside)

    begun = BastionSession.objects.filter(asset=asset, allowed_at__gte=first, allowed_at__lte=last)
    again = SessionFact.objects.filter(session__asset=asset, session__allowed_at__gte=first - FARTHEST)
    again = again.filter(kind="linked", at__gte=first, at__lte=last).select_related("session__node")
    found = [known(row, row.allowed_at, row.opened_at or row.allowed_at) for row in begun.select_related("node")]
    return found + [known(fact.session, fact.at, fact.at) for fact in again]


def _own_addresses(node: Node) -> tuple[str, ...]:
    """Where a node in a private network is reached is where it comes from; a public address may be a translated one."""
    network = network_of(node.ssh_host)
    return () if network is None or not network.is_private else (node.ssh_host,)


def _uses(asset: Asset, first: datetime, last: datetime) -> list[Use]:
    """Every time that the platform itself took out a secret of this server, as the audit log has it."""
    names = dict(Credential.objects.filter(asset=asset).values_list("pk", "username"))
    rows = AuditEntry.objects.filter(
        customer=asset.customer_id,
        action="secret.use",
        object_type=Credential._meta.label_lower,
        object_id__in=[str(pk) for pk in names],
        at__gte=first,
        at__lte=last,
    )
    return [Use(names[int(object_id)], at) for object_id, at in rows.values_list("object_id", "at")]


def _new(asset: Asset, direct: Sequence[Login], now: datetime) -> list[DirectLogin]:
    """Those that were not found before, as rows; one that has ended since is noted."""
    if not direct:
        return []
    known: dict[tuple[str, str], list[DirectLogin]] = defaultdict(list)
    span = (direct[0].at - SAME, direct[-1].at + SAME)
    for row in DirectLogin.objects.filter(asset=asset, at__range=span):
        known[row.account, row.source or ""].append(row)
    found: list[DirectLogin] = []
    for one in direct:
        same = next((row for row in known[one.account, one.source] if _is_same(row, one)), None)
        if same is None and len(found) < MOST_NEW:
            found.append(_row(asset, one, now))
        elif same is not None and same.ended_at is None and one.ended_at is not None:
            DirectLogin.objects.filter(pk=same.pk).update(ended_at=one.ended_at)
    return DirectLogin.objects.bulk_create(found)


def _is_same(row: DirectLogin, login: Login) -> bool:
    is_same_port = row.port == login.port or 0 in (row.port, login.port)
    return is_same_port and abs(row.at - login.at) <= SAME


def _row(asset: Asset, login: Login, now: datetime) -> DirectLogin:
    return DirectLogin(
        customer_id=asset.customer_id,
        asset=asset,
        at=login.at,
        account=login.account,
        source=login.source or None,
        port=login.port,
        method=login.method,
        key=login.key,
        found_in=login.found_in,
        ended_at=login.ended_at,
        seen_at=now,
    )


def _report(asset: Asset, rows: Sequence[DirectLogin], now: datetime) -> None:
    """One incident per server and source: what comes later from there joins it while nobody has solved it."""
    by_source: dict[str | None, list[DirectLogin]] = defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
    groups = [by_source[source] for source in sorted(by_source, key=lambda source: source or "")]
    if len(groups) > MOST_INCIDENTS:
        groups = [list(rows)]
    for those in groups:
        earlier = DirectLogin.objects.filter(asset=asset).exclude(incident=None)
        if len(groups) > 1 or len(by_source) == 1:
            earlier = earlier.filter(source=those[0].source)
        unsolved = Incident.objects.filter(state__in=UNSOLVED_STATES, pk__in=earlier.values("incident"))
        open_one = unsolved.order_by("pk").first()
        incident = _open(asset, those, now) if open_one is None else _join(open_one, those, now)
        DirectLogin.objects.filter(pk__in=[row.pk for row in those]).update(incident=incident)


def severity_of(rows: Sequence[DirectLogin]) -> Severity:
    """As root, or from the Internet: somebody may be in who must not be. Otherwise somebody took the short way."""
    for row in rows:
        network = network_of(row.source or "")
        if row.account == "root" or (network is not None and network.is_global):
            return Severity.HIGH
    return Severity.AVERAGE


def _open(asset: Asset, rows: Sequence[DirectLogin], now: datetime) -> Incident:
    with translation.override(asset.customer.language):
        sources = dict.fromkeys(row.source or _("the console") for row in rows)
        facts = {"server": asset.name, "source": ", ".join(list(sources)[:3])}
        if len(sources) > 3:
            facts["source"] += f" … (+{len(sources) - 3})"
        title = _("Log-in to %(server)s not through the bastion, from %(source)s") % facts
        body = "\n\n".join(
            (
                _(
                    "Every remote log-in goes through the bastion (statement of work §2.2.4-1, annex 1). The server "
                    "has written down log-ins that match neither a session of the bastion nor the platform's own work:"
                ),
                _lines(rows),
                _("Please say who it was and why. If nobody knows, treat the server as broken into."),
            )
        )
    return opening.open_by_platform(
        customer=asset.customer,
        kind=IncidentKind.INCIDENT,
        title=title,
        description=body,
        severity=severity_of(rows),
        detected_at=now,
        now=now,
        assets=(asset,),
        category=Incident.Category.SYSTEM,
    )


def _join(incident: Incident, rows: Sequence[DirectLogin], now: datetime) -> Incident:
    with translation.override(incident.customer.language):
        title = _("Log-in not through the bastion, again: %(count)d") % {"count": len(rows)}
    data = {"title": title, "severity": int(severity_of(rows)), "at": rows[0].at.isoformat()}
    timeline.write(incident, TimelineEntry.Kind.ALERT, actor=None, now=now, body=_lines(rows), data=data)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    return incident


def _lines(rows: Sequence[DirectLogin]) -> str:
    shown = [
        f"{timezone.localtime(row.at):%F %T} {row.account} {row.source or ''} {row.method} {row.key}".rstrip()
        for row in rows[:MOST_TOLD]
    ]
    return "\n".join([*shown, *([f"… +{len(rows) - MOST_TOLD}"] if len(rows) > MOST_TOLD else [])])


@transaction.atomic
def explain(*, login: DirectLogin, words: str, actor: User, now: datetime, is_all: bool = False) -> int:
    """Say who it was and why; with `is_all`, of all that this account did on this server from this source."""
    require(may_explain(actor, login.customer_id))
    words = " ".join(words.split())
    if len(words) < SHORTEST_EXPLANATION:
        raise DomainError(_("Please say who it was and why."), code="text_missing")
    audit.hold(login.customer_id)
    rows = DirectLogin.objects.select_for_update(of=("self",)).filter(explained_at=None)
    same = Q(pk=login.pk)
    if is_all:
        same |= Q(asset=login.asset_id, account=login.account, source=login.source)
    keys = list(rows.filter(same).order_by("pk").values_list("pk", flat=True))
    if not keys:
        raise DomainError(_("It is explained already. Nothing was changed."), code="explained")
    DirectLogin.objects.filter(pk__in=keys).update(explanation=words[:500], explained_by=actor, explained_at=now)
    detail = {"asset": login.asset.name, "logins": keys[:100], "words": words[:300]}
    audit.record(action="hardening.explain", actor=actor, customer=login.customer, obj=login, detail=detail, now=now)
    live.publish(customer_id=login.customer_id, topic="hardening", object_id=0)
    return len(keys)


def may_explain(person: User, customer_id: int) -> bool:
    """Who knows of it: the provider's people, and the customer's own who may write."""
    return person.is_provider or (person.customer_id == customer_id and can_write(person))


def due(*, now: datetime, clock: Clock) -> int:
    """The rhythm: those whose turn it is, all customers' at once. Nobody asks while others are still asking."""
    if not cache.add(ASKING, 1, LONGEST_TURN_S):
        return 0
    try:
        return _turn(now, clock)
    finally:
        cache.delete(ASKING)


def _turn(now: datetime, clock: Clock) -> int:
    with scope.platform("direct log-ins"):
        by_customer: dict[int, list[int]] = defaultdict(list)
        for customer_id, asset_id in claim(now=now):
            by_customer[customer_id].append(asset_id)
    turns: dict[int, tuple[list[Asset], _Asked]] = {}
    for customer_id, keys in by_customer.items():
        with scope.customer(customer_id):
            assets = list(policies.held_to_it().select_related("customer").filter(pk__in=keys).order_by("name"))
            turns[customer_id] = assets, _asked(assets, clock())
    answers = asking.ask({pk: one for _assets, asked in turns.values() for pk, one in asked.errands.items()})
    found, now = 0, clock()
    for customer_id, (assets, asked) in turns.items():
        with scope.customer(customer_id):
            found += _keep_all(assets, asked, answers, now)
    return found
