"""How fast the pages of incidents answer with years of incidents in the database.

Each request goes through Django's test client: the whole response is rendered, through every middleware, in this
process and with the database beside it; what a web server and the network add is not in it. Requests are those that
engineers, a manager and customers' people make, in turn.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import import_module

import numpy as np
from django.conf import settings
from django.db import connection
from django.test import Client

from benchmarks._crowd import Crowd, seed, signed_in
from incidents.months import Month
from rdmp.memory import sweep_less

Figures = Iterator[tuple[str, float, str]]
WARM = 12


def board(asked: argparse.Namespace) -> Figures:
    """The engineers' board: all of it, one customer's, one severity, columns, the next page, a refresh."""
    crowd = crowd_of(asked.incidents_kept, asked.customers)
    browsers = [signed_in(person) for person in (*crowd.managers, *crowd.engineers[:3])]
    dice = random.Random(1)

    def address() -> str:
        return dice.choice(
            [
                "/board/",
                "/board/?view=columns",
                "/board/?page=2",
                f"/board/?customer={dice.choice(crowd.customers).pk}",
                f"/board/?severity={dice.randint(1, 4)}",
                "/board/?who=nobody",
            ]
        )

    yield from timed("incidents.board", [(browser, address) for browser in browsers], asked.rounds)


def page(asked: argparse.Namespace) -> Figures:
    """Any incident, for engineers, and for its customer's people."""
    crowd = crowd_of(asked.incidents_kept, asked.customers)
    dice = random.Random(2)
    browsers = [signed_in(person) for person in (*crowd.managers, *crowd.engineers[:3])]
    ids = crowd.incident_ids
    visits = [(browser, lambda: f"/incidents/{dice.choice(ids)}/") for browser in browsers]
    own = _of_customer(crowd.people[0].customer_id or 0)
    visits.append((signed_in(crowd.people[0]), lambda: f"/incidents/{dice.choice(own)}/"))
    yield from timed("incidents.page", visits, asked.rounds)


def lists(asked: argparse.Namespace) -> Figures:
    """The list: as it opens, filtered, sorted, further back, searched by word and by number."""
    crowd = crowd_of(asked.incidents_kept, asked.customers)
    dice = random.Random(3)
    browsers = [signed_in(person) for person in (*crowd.managers, *crowd.engineers[:2], *crowd.people[:2])]
    searched = ["端口", "Nginx", "订单 支付", "does not answer", "#1234", "web-07"]

    def address() -> str:
        return dice.choice(
            [
                "/incidents/",
                "/incidents/",
                "/incidents/?state=unsolved",
                "/incidents/?state=closed&severity=1",
                f"/incidents/?page={dice.randint(2, 40)}",
                f"/incidents/?customer={dice.choice(crowd.customers).pk}",
                "/incidents/?who=me",
                "/incidents/?missed=1",
                f"/incidents/?sort={dice.choice(['number', 'severity', '-due', 'customer', 'state'])}",
                f"/incidents/?q={dice.choice(searched)}",
                f"/incidents/?q=INC-{dice.choice(crowd.incident_ids):06d}",
            ]
        )

    yield from timed("incidents.list", [(browser, address) for browser in browsers], asked.rounds)


def sla(asked: argparse.Namespace) -> Figures:
    """A customer's month, with its twelve months before."""
    crowd = crowd_of(asked.incidents_kept, asked.customers)
    dice = random.Random(4)
    month = Month.of(datetime.now(UTC).date()).shifted(-1)
    browser = signed_in(crowd.managers[0])
    visits = [(browser, lambda: f"/sla/{dice.choice(crowd.customers).pk}/?month={month}")]
    yield from timed("incidents.sla", visits, asked.rounds // 3)


def timed(name: str, visits: Sequence[tuple[Client, object]], rounds: int) -> Figures:
    """Each visit in turn; the first few are not counted, as on a platform that has been up for a while."""
    seconds, slowest = [], (0.0, "")
    for number in range(-WARM, rounds):
        browser, address = visits[number % len(visits)]
        where = address()  # type: ignore[operator]
        began = time.perf_counter()
        response = browser.get(where)
        spent = time.perf_counter() - began
        assert response.status_code == 200, (where, response.status_code, response.headers.get("Location"))
        if number >= 0:
            seconds.append(spent)
            slowest = max(slowest, (spent, where))
    print(f"{name}: slowest {slowest[0]:.3f} s, {slowest[1]}", file=sys.stderr)
    for share in (50, 95):
        yield f"{name}_p{share}_s", float(np.percentile(seconds, share)), "s"


@cache
def crowd_of(count: int, customers: int) -> Crowd:
    """Seeded once for all parts."""
    crowd = seed(count, customers, datetime.now(UTC))
    print(f"{len(crowd.incident_ids)} incidents in {crowd.seconds:.0f} s", file=sys.stderr)
    import_module(settings.ROOT_URLCONF)
    sweep_less()  # as the web process does (`rdmp.asgi`)
    return crowd


def _of_customer(customer_id: int) -> list[int]:
    with connection.as_owner(), connection.cursor() as cursor:  # type: ignore[attr-defined]  # our own connection
        cursor.execute("SELECT id FROM incidents_incident WHERE customer_id = %s", [customer_id])
        return [row[0] for row in cursor.fetchall()]
