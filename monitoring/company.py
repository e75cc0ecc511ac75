"""Customers whose samples are taken in together: what is known of each, as one table, and taken apart again afterwards.

Series have numbers that no two customers share, so that the bindings, newest points and states of several customers
stand in one table in the order of their series, and one pass judges them all. Nothing of one customer is read or
written by another's rules: a binding looks at its own customer's series. A company of one is that customer's memory
itself, without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitoring import storage
from monitoring.evaluate import States
from monitoring.heads import Heads
from monitoring.plan import Plan
from monitoring.registry import Memory
from monitoring.services import states

Ints = NDArray[np.int64]
MOST_PLANS: Final = 64
_LISTS: Final = ("series", "start", "second_series", "second_binding", "effective", "schedules", "schedule")


@dataclass(frozen=True, slots=True)
class Joint:
    """The plans of several customers as one. `owner`: whose each binding is, by place; `local`: which of theirs."""

    plans: tuple[Plan, ...]
    plan: Plan
    owner: Ints
    local: Ints
    places: tuple[Ints, ...]
    """Of each customer: where its bindings stand."""


_joints: dict[tuple[int, ...], Joint] = {}


class Company:
    """Their memories, whose ledgers are held, in the order of the customers."""

    def __init__(self, memories: Sequence[Memory]) -> None:
        self._memories = memories
        self.customers = np.array([memory.customer_id for memory in memories], dtype=np.int64)
        self._plans = tuple(memory.current_plan() for memory in memories)
        self._joint = _joint_of(tuple(self.customers.tolist()), self._plans) if len(memories) > 1 else None
        self.plan = self._joint.plan if self._joint else self._plans[0]
        self.heads = Heads()
        self._order = self._edges = np.empty(0, np.int64)

    def load_heads(self, customer: Ints, assets: Ints) -> None:
        """Have the newest points of these assets, of these customers, at hand."""
        wanted = [set(assets[customer == memory.customer_id].tolist()) for memory in self._memories]
        missing = [some - memory.heads.loaded for some, memory in zip(wanted, self._memories, strict=True)]
        if any(missing):
            rows = storage.heads(sorted(set().union(*missing)))
            for some, memory in zip(missing, self._memories, strict=True):
                memory.heads.take_over(some, rows)
        self.heads = self._memories[0].heads if self._joint is None else self._joined_heads()

    def _joined_heads(self) -> Heads:
        parts = [memory.heads for memory in self._memories]
        series = np.concatenate([part.series for part in parts])
        self._order = np.argsort(series, kind="stable")
        self._edges = np.cumsum([len(part.series) for part in parts])
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])[self._order]
            for name in ("asset", "ts", "value", "step")
        }
        return Heads(series=series[self._order], **columns)

    def remember_heads(self) -> None:
        """Give each customer's memory its newest points back. Series that are new are read again the next time."""
        if self._joint is None:
            return
        if len(self.heads.series) != len(self._order):
            for memory in self._memories:
                memory.heads = Heads()
            return
        back = np.empty_like(self._order)
        back[self._order] = np.arange(len(back))
        for name in ("ts", "value", "step"):
            parts = np.split(getattr(self.heads, name)[back], self._edges[:-1])
            for memory, part in zip(self._memories, parts, strict=True):
                setattr(memory.heads, name, part)

    def states(self) -> States:
        """The states of all, by the bindings of the joint plan; those not known are read with one statement."""
        unknown = {
            memory.customer_id: plan
            for memory, plan in zip(self._memories, self._plans, strict=True)
            if memory.states is None
        }
        found = states.load(unknown) if unknown else {}
        known = []
        for memory in self._memories:
            if memory.states is None:
                memory.states = found[memory.customer_id]
            known.append(memory.states)
        if self._joint is None:
            return known[0]
        parts = [
            _placed(some, place[some.binding])
            for some, place in zip(known, self._joint.places, strict=True)
            if len(some)
        ]
        return _sorted(parts)

    def keep_states(self, before: States, touched: States) -> None:
        """Save what changed, and remember it."""
        if not len(touched):
            return
        owner = np.zeros(len(self.plan), np.int64) if self._joint is None else self._joint.owner
        states.save(self.customers[owner[touched.binding]], self.plan, before, touched)
        after = before.replaced(touched)
        if self._joint is None:
            self._memories[0].states = after
            return
        whose = owner[after.binding]
        for at in np.unique(owner[touched.binding]).tolist():
            mine = after.take(whose == at)
            self._memories[at].states = _placed(mine, self._joint.local[mine.binding])

    def owners(self, bindings: Ints) -> Ints:
        """The customer of each binding."""
        if self._joint is None:
            return np.full(len(bindings), self.customers[0])
        return self.customers[self._joint.owner[bindings]]


def _placed(some: States, binding: Ints) -> States:
    return States(binding, *(getattr(some, field.name) for field in fields(States)[1:]))


def _sorted(parts: Sequence[States]) -> States:
    if not parts:
        return States.none()
    whole = States(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(States)))
    return whole.take(np.argsort(whole.binding))


def _joint_of(key: tuple[int, ...], plans: tuple[Plan, ...]) -> Joint:
    """The joint plan of these customers, which is put together again only when one of the plans is another."""
    known = _joints.get(key)
    if known is not None and all(one is other for one, other in zip(known.plans, plans, strict=True)):
        return known
    if len(_joints) >= MOST_PLANS:
        _joints.clear()
    joint = _joints[key] = _joined(plans)
    return joint


def _joined(plans: tuple[Plan, ...]) -> Joint:
    sizes = [len(plan) for plan in plans]
    first = np.concatenate([plan.first for plan in plans])
    order = np.argsort(first, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    columns = {
        field.name: np.concatenate([getattr(plan, field.name) for plan in plans])[order]
        for field in fields(Plan)
        if field.name not in _LISTS
    }
    series, start = np.unique(columns["first"], return_index=True)
    with_second = np.flatnonzero(columns["second"] >= 0)
    by_second = with_second[np.argsort(columns["second"][with_second], kind="stable")]
    before = np.cumsum([0, *(len(plan.schedules) for plan in plans)])
    schedule = np.concatenate(
        [
            np.where(plan.schedule < 0, -1, plan.schedule + low)
            for plan, low in zip(plans, before.tolist(), strict=False)
        ]
    )
    effective = [each for plan in plans for each in plan.effective]
    plan = Plan(
        series=series.astype(np.int32),
        start=np.append(start, len(first)).astype(np.int64),
        second_series=columns["second"][by_second],
        second_binding=by_second.astype(np.int64),
        schedule=schedule[order].astype(np.int16),
        effective=[effective[at] for at in order.tolist()],
        schedules=[each for plan in plans for each in plan.schedules],
        **columns,
    )
    owner = np.repeat(np.arange(len(plans)), sizes)[order]
    local = np.concatenate([np.arange(size) for size in sizes])[order]
    return Joint(plans, plan, owner, local, tuple(np.split(place, np.cumsum(sizes)[:-1])))
