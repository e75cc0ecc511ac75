"""Resource groups: made, filled, administered. A network's own group fills itself (R102)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from itertools import count
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from accounts import addresses, audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import administers, can_write, is_administrator
from assets.models import Asset
from bastion import networks
from bastion.models import CommandRule, Grant, GroupAdministrator, GroupAsset, ResourceGroup
from bastion.permissions import administers_group, works_for
from bastion.services import living
from bastion.services.regimes import Said
from notify import live

NETWORK_FACT = "VpcId"
"""Under which Alibaba Cloud's listing of a resource names its network (`Asset.details`)."""
MOST_RANGES: Final = 50


@transaction.atomic
def create(
    *, customer: Customer, name: str, description: str, actor: User, now: datetime, ranges: str = ""
) -> ResourceGroup:
    """`ranges`: it is the default group of a network that no cloud describes; what has an address there joins at once.

    Raises DomainError: no_name, name_taken, ranges.
    """
    if not administers(actor, customer.pk):
        raise PermissionDenied
    if not name.strip():
        raise DomainError(_("Please give it a name."), code="no_name")
    audit.hold(customer.pk)
    written = _free_ranges(customer, ranges)
    network = {"kind": ResourceGroup.Kind.NETWORK, "network": written[0], "ranges": written} if written else {}
    try:
        with transaction.atomic():
            group = ResourceGroup.objects.create(
                customer=customer,
                name=name.strip()[:80],
                description=description.strip()[:300],
                created_at=now,
                **network,
            )
    except IntegrityError:
        raise DomainError(_("There is a group of this name already."), code="name_taken") from None
    detail = {"ranges": written} if written else {}
    audit.record(action="bastion.group.create", actor=actor, customer=customer, obj=group, detail=detail, now=now)
    if written:
        follow_networks(customer=customer, now=now)
    return group


@transaction.atomic
def change(
    *,
    group: ResourceGroup,
    name: str,
    description: str,
    trusts_first_sight: bool,
    actor: User,
    now: datetime,
    limits: Said,
    ranges: str = "",
) -> ResourceGroup:
    """Administrators alone: what a host key is worth at first sight, how long sessions last and what is kept of them
    is no matter of the group's own people. Raises DomainError: retired, no_name, name_taken, ranges, limits."""
    if not administers(actor, group.customer_id):
        raise PermissionDenied
    group = _hold(group)
    if group.retired_at is not None:
        raise DomainError(_("This group is no longer in use."), code="retired")
    said: dict[str, object] = {
        "name": name.strip()[:80],
        "description": description.strip()[:300],
        "trusts_first_sight": trusts_first_sight,
        **asdict(limits),
    }
    if not said["name"]:
        raise DomainError(_("Please give it a name."), code="no_name")
    if not limits.is_in_reason:
        raise DomainError(_("These limits are out of range."), code="limits")
    if group.kind == ResourceGroup.Kind.NETWORK:
        said["ranges"] = written = _free_ranges(group.customer, ranges, but=group)
        if group.is_local:
            if not written:
                raise DomainError(_("Please give the address ranges of the network."), code="ranges")
            said["network"] = written[0]
    has_limits_changed = Said.of(group) != limits
    detail = {key: [getattr(group, key), value] for key, value in said.items() if getattr(group, key) != value}
    if detail:
        for key, value in said.items():
            setattr(group, key, value)
        try:
            with transaction.atomic():
                group.save(update_fields=list(said))
        except IntegrityError:
            raise DomainError(_("There is a group of this name already."), code="name_taken") from None
        audit.record(
            action="bastion.group.change", actor=actor, customer=group.customer, obj=group, detail=detail, now=now
        )
        live.publish(customer_id=group.customer_id, topic="bastion", object_id=group.pk)
        if "ranges" in detail:
            follow_networks(customer=group.customer, now=now)
        if has_limits_changed:
            _rights_have_changed(group, now, renews=True)
    return group


@transaction.atomic
def retire(*, group: ResourceGroup, actor: User, now: datetime) -> ResourceGroup:
    """Its grants lead nowhere from now on; what was done through them stays on record."""
    if not administers(actor, group.customer_id):
        raise PermissionDenied
    group = _hold(group)
    if group.kind == ResourceGroup.Kind.NETWORK and not group.is_local:
        raise DomainError(_("A network's own group stays as long as the network has resources."), code="network_group")
    if group.retired_at is None:
        group.retired_at = now
        group.save(update_fields=["retired_at"])
        audit.record(action="bastion.group.retire", actor=actor, customer=group.customer, obj=group, now=now)
        _rights_have_changed(group, now, renews=True)
    return group


def seen_by(person: User) -> QuerySet[ResourceGroup]:
    """Those that somebody may look into, within their scope: all of the customers they administer, or their own."""
    rows = ResourceGroup.objects.filter(retired_at=None).select_related("customer")
    if is_administrator(person):
        return rows
    return rows.filter(Exists(GroupAdministrator.objects.filter(group=OuterRef("pk"), person=person)))


@transaction.atomic
def add(*, group: ResourceGroup, assets: Iterable[Asset], actor: User, now: datetime) -> None:
    """Put resources of the same customer into it."""
    group = _changeable(group, actor)
    chosen = list(Asset.objects.active().filter(customer=group.customer_id, pk__in=[asset.pk for asset in assets]))
    _only_what_is_theirs(group, chosen, actor, now)
    GroupAsset.objects.bulk_create(
        [
            GroupAsset(customer_id=group.customer_id, group=group, asset=asset, added_by=actor, added_at=now)
            for asset in chosen
        ],
        ignore_conflicts=True,
    )
    _write(group, "bastion.group.add", [asset.name for asset in chosen], actor, now)
    _rights_have_changed(group, now)


@transaction.atomic
def remove(*, group: ResourceGroup, assets: Iterable[Asset], actor: User, now: datetime) -> None:
    group = _changeable(group, actor)
    rows = GroupAsset.objects.filter(group=group, asset__in=[asset.pk for asset in assets])
    names = list(rows.values_list("asset__name", flat=True))
    rows.delete()
    _write(group, "bastion.group.remove", names, actor, now)
    _rights_have_changed(group, now)


@transaction.atomic
def confirm(*, group: ResourceGroup, asset: Asset, actor: User, now: datetime) -> None:
    """An administrator answers for what one of the group's own people has put in: they look after it from now on, as
    after what others put in. Doing it twice changes nothing."""
    if not administers(actor, group.customer_id):
        raise PermissionDenied
    group = _hold(group)
    named = GroupAdministrator.objects.filter(group=group).values("person")
    rows = GroupAsset.objects.filter(group=group, asset=asset, added_by__in=named).exclude(added_by=actor)
    if rows.update(added_by=actor):
        _write(group, "bastion.group.confirm", [asset.name], actor, now)


@transaction.atomic
def name_administrator(*, group: ResourceGroup, person: User, actor: User, now: datetime) -> None:
    if not administers(actor, group.customer_id) or not works_for(person, group.customer):
        raise PermissionDenied
    if not person.is_active or not can_write(person):
        raise DomainError(_("This person may only read: they cannot administer a group."), code="reader")
    group = _hold(group)
    GroupAdministrator.objects.get_or_create(
        group=group, person=person, defaults={"customer": group.customer, "named_by": actor, "named_at": now}
    )
    _write(group, "bastion.group.administrator", [person.name], actor, now)


@transaction.atomic
def dismiss_administrator(*, group: ResourceGroup, person: User, actor: User, now: datetime) -> None:
    if not administers(actor, group.customer_id):
        raise PermissionDenied
    group = _hold(group)
    GroupAdministrator.objects.filter(group=group, person=person).delete()
    _write(group, "bastion.group.dismiss", [person.name], actor, now)


@transaction.atomic
def follow_networks(*, customer: Customer, now: datetime) -> int:
    """Every network has its group, and in it what is in the network now. How many rows changed.

    In which network a resource is says the cloud; of what no cloud says it, its address does.
    """
    audit.hold(customer.pk)
    known = {group.network: group for group in _network_groups(customer)}
    local = {network: group.ranges for network, group in known.items() if group.ranges}
    rows = Asset.objects.active().filter(customer=customer)
    facts = rows.values_list("pk", f"details__{NETWORK_FACT}", "private_ip", "host")
    placed = {pk: told or networks.place(private_ip or host, local) for pk, told, private_ip, host in facts}
    for network in sorted({network for network in placed.values() if network} - known.keys()):
        known[network] = ResourceGroup.objects.create(
            customer=customer,
            kind=ResourceGroup.Kind.NETWORK,
            name=_free_name(customer, network),
            network=network,
            created_at=now,
        )
        audit.record(action="bastion.group.create", actor=None, customer=customer, obj=known[network], now=now)
    there = set(GroupAsset.objects.filter(group__in=known.values()).values_list("group__network", "asset_id"))
    wanted = {(network, asset_id) for asset_id, network in placed.items() if network}
    joined, left = wanted - there, there - wanted
    GroupAsset.objects.bulk_create(
        GroupAsset(customer=customer, group=known[network], asset_id=asset_id, added_at=now)
        for network, asset_id in sorted(joined)
    )
    for network, asset_id in left:
        GroupAsset.objects.filter(group=known[network], asset_id=asset_id).delete()
    if wanted ^ there:
        _write_networks("bastion.group.add", known, joined, now)
        _write_networks("bastion.group.remove", known, left, now)
        living.ask_again(customer_id=customer.pk, now=now, renews=any(_is_felt(group) for group in known.values()))
        live.publish(customer_id=customer.pk, topic="bastion", object_id=0)
    return len(wanted ^ there)


def _write_networks(
    action: str, groups: Mapping[str, ResourceGroup], moved: Collection[tuple[str, int]], now: datetime
) -> None:
    """One record for each group; nobody did it."""
    by_network: dict[str, list[int]] = defaultdict(list)
    for network, asset_id in sorted(moved):
        by_network[network].append(asset_id)
    names = dict(Asset.objects.filter(pk__in=[pk for _network, pk in moved]).values_list("pk", "name"))
    for network, assets in by_network.items():
        _write(groups[network], action, [names[pk] for pk in assets], None, now)


def _free_name(customer: Customer, wanted: str) -> str:
    """Somebody may have called another group like the network."""
    taken = set(ResourceGroup.objects.filter(customer=customer, retired_at=None).values_list("name", flat=True))
    name = wanted[:80]
    for number in count(2):
        if name not in taken:
            break
        name = f"{wanted[:70]} {number}"
    return name


def _network_groups(customer: Customer) -> Iterable[ResourceGroup]:
    return ResourceGroup.objects.filter(customer=customer, kind=ResourceGroup.Kind.NETWORK, retired_at=None)


def _free_ranges(customer: Customer, text: str, *, but: ResourceGroup | None = None) -> list[str]:
    """As written, and no other network's: of two with the same range nobody could say which is meant."""
    try:
        written = addresses.ranges(text)
    except addresses.BadRange as bad:
        raise DomainError(_("%(text)s is no address range.") % {"text": bad}, code="ranges") from None
    if len(written) > MOST_RANGES:
        raise DomainError(_("A network has at most %(most)d ranges.") % {"most": MOST_RANGES}, code="ranges")
    for group in _network_groups(customer):
        if group != but and (shared := sorted(set(group.ranges) & set(written))):
            said = {"range": shared[0], "name": group.name}
            raise DomainError(_("%(range)s is the network of %(name)s already.") % said, code="ranges")
    return written


def _changeable(group: ResourceGroup, actor: User) -> ResourceGroup:
    group = _hold(group)
    if not administers_group(actor, group):
        raise PermissionDenied
    if group.kind == ResourceGroup.Kind.NETWORK:
        raise DomainError(
            _("What is in a network's own group follows from the network. Make a group for other sets."),
            code="network_group",
        )
    if group.retired_at is not None:
        raise DomainError(_("This group is no longer in use."), code="retired")
    return group


def _only_what_is_theirs(group: ResourceGroup, chosen: Iterable[Asset], actor: User, now: datetime) -> None:
    """A group's own administrators take in what nobody else looks after: else they would give away, by their group,
    what another group holds. Networks' own groups hold everything and do not count. Who has a grant for the group takes
    nothing in: they would let themselves to it."""
    if administers(actor, group.customer_id):
        return
    if Grant.objects.in_force(now).filter(group=group, person=actor).exists():
        raise DomainError(
            _("You have access by this group yourself: an administrator adds resources to it. Nothing was added."),
            code="own",
        )
    held = GroupAsset.objects.filter(asset__in=[asset.pk for asset in chosen], group__retired_at=None)
    others = held.filter(group__kind=ResourceGroup.Kind.NORMAL).exclude(group__administrators__person=actor)
    names = sorted(set(others.exclude(group=group).values_list("asset__name", flat=True)))
    if names:
        raise DomainError(
            _("Others look after these resources: %(names)s. Ask an administrator. Nothing was added.")
            % {"names": ", ".join(names[:5])},
            code="elsewhere",
        )


def _rights_have_changed(group: ResourceGroup, now: datetime, *, renews: bool = False) -> None:
    """Who may do what, and which command rules hold, follow from what is in a group."""
    renews = renews or _is_felt(group)
    living.ask_again(customer_id=group.customer_id, now=now, renews=renews)
    live.publish(customer_id=group.customer_id, topic="bastion", object_id=group.pk)


def _is_felt(group: ResourceGroup) -> bool:
    """Whoever comes to be in it gets more or less than the right to connect: limits, or rules for commands."""
    return Said.of(group).is_anything or CommandRule.objects.kept().filter(group=group).exists()


def _hold(group: ResourceGroup) -> ResourceGroup:
    audit.hold(group.customer_id)
    rows = ResourceGroup.objects.select_for_update(no_key=True, of=("self",)).select_related("customer")
    return rows.get(pk=group.pk)


def _write(group: ResourceGroup, action: str, names: list[str], actor: User | None, now: datetime) -> None:
    if names:
        detail = {"names": names}
        audit.record(action=action, actor=actor, customer=group.customer, obj=group, detail=detail, now=now)
        live.publish(customer_id=group.customer_id, topic="bastion", object_id=group.pk)
