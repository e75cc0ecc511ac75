"""MongoDB through its own client against a server of the wire protocol with documented replies."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.monitoring.products import mongo_wire
from tests.monitoring.products.mongo_wire import refusal, replies
from tests.monitoring.products.visits import closed_port, earlier, figures, look


async def test_the_figures_of_server_status_and_of_the_replica_set() -> None:
    seen: list[str] = []
    found = replies()
    async with mongo_wire.serving(found, seen) as port:
        first = await look("mongodb", port)
        found["serverStatus"]["opcounters"]["query"] = 6600
        second = await look("mongodb", port, state=earlier(first))
    assert first.problem is None
    shown = figures(second)
    assert shown["mongodb.connections"] == 20
    assert shown["mongodb.connection.util"] == 10
    assert shown["mongodb.mem.resident_bytes"] == 512 * 1024 * 1024
    assert shown["mongodb.cache.util"] == 50
    assert shown["mongodb.cache.dirty_pct"] == pytest.approx(10, abs=0.01)
    assert shown["mongodb.queued"] == 3
    assert shown["mongodb.member_state"] == 2
    assert shown["mongodb.replica.lag_s"] == 12
    assert shown["mongodb.members_unhealthy"] == 1
    assert shown["mongodb.longest_operation_s"] == 47, "what the server runs for itself is not counted"
    assert shown['mongodb.operations_per_s{operation="query"}'] == pytest.approx(10, rel=0.01)
    assert shown['mongodb.operations_per_s{operation="insert"}'] == 0
    assert {"serverStatus", "replSetGetStatus", "currentOp"} <= set(seen)


async def test_a_restart_begins_the_counters_again() -> None:
    found = replies()
    async with mongo_wire.serving(found) as port:
        first = await look("mongodb", port)
        found["serverStatus"] |= {"pid": 99, "opcounters": {"query": 120}}
        second = await look("mongodb", port, state=earlier(first))
    assert figures(second)['mongodb.operations_per_s{operation="query"}'] == pytest.approx(2, rel=0.01)


async def test_a_single_server_has_no_replica_figures_and_no_problem() -> None:
    found = replies() | {"replSetGetStatus": refusal(76, "NoReplicationEnabled", "not running with --replSet")}
    async with mongo_wire.serving(found) as port:
        outcome = await look("mongodb", port)
    assert outcome.problem is None
    assert "mongodb.replica.lag_s" not in figures(outcome)


async def test_a_primary_has_no_lag() -> None:
    found = replies()
    members = found["replSetGetStatus"]["members"]
    members[1]["optimeDate"] = members[0]["optimeDate"] + timedelta(seconds=5)
    async with mongo_wire.serving(found) as port:
        assert figures(await look("mongodb", port))["mongodb.replica.lag_s"] == 0


async def test_a_missing_right_is_told_and_the_rest_is_read() -> None:
    found = replies() | {"currentOp": refusal(13, "Unauthorized", "not authorized on admin to execute currentOp")}
    async with mongo_wire.serving(found) as port:
        outcome = await look("mongodb", port)
    assert outcome.problem is not None
    assert outcome.problem.code == "privilege"
    assert "currentOp" in outcome.problem.detail
    assert figures(outcome)["mongodb.connections"] == 20


async def test_a_refused_password_is_told_as_such() -> None:
    found = replies() | {"saslStart": refusal(18, "AuthenticationFailed", "Authentication failed.")}
    async with mongo_wire.serving(found) as port:
        outcome = await look("mongodb", port, user="rdmp", password="wrong")
    assert outcome.problem is not None
    assert outcome.problem.code == "sign_in"
    assert figures(outcome) == {}


async def test_without_rights_at_all_the_right_is_named() -> None:
    text = "command serverStatus requires authentication"
    async with mongo_wire.serving(replies() | {"serverStatus": refusal(13, "Unauthorized", text)}) as port:
        outcome = await look("mongodb", port)
    assert outcome.problem is not None
    assert outcome.problem.code == "privilege"


async def test_a_version_that_is_too_old_is_told() -> None:
    found = replies()
    found["serverStatus"]["version"] = "3.2.22"
    async with mongo_wire.serving(found) as port:
        outcome = await look("mongodb", port)
    assert outcome.problem is not None
    assert outcome.problem.code == "version"


async def test_a_closed_port_and_an_internal_address() -> None:
    closed = await look("mongodb", closed_port())
    assert closed.problem is not None
    assert closed.problem.code == "refused"
    async with mongo_wire.serving(replies()) as port:
        inside = await look("mongodb", port, trusted=False)
    assert inside.problem is not None
    assert inside.problem.code == "blocked"
