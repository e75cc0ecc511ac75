"""MongoDB by serverStatus, replSetGetStatus and currentOp, as a user with the clusterMonitor role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import pymongo
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from monitoring.collectors.products.frame import CannotReadError, Option, Prerequisite, Product, Visit, share

Reply = Mapping[str, Any]
NOT_A_REPLICA: Final = frozenset({76, 94})
"""NoReplicationEnabled, NotYetInitialized."""
AUTHENTICATION_FAILED: Final = 18
UNAUTHORIZED: Final = 13
OPERATIONS: Final = ("insert", "query", "update", "delete", "getmore", "command")
PRIMARY: Final = 1


async def collect(visit: Visit) -> None:
    """The address is looked up and checked first; the client then connects to that address and no other."""
    sock = await visit.connect()
    address, port = sock.getpeername()[:2]
    sock.close()
    status, replica, operations = await asyncio.to_thread(_ask, visit, str(address), int(port))
    visit.version("MongoDB", str(status.get("version", "")), at_least=(3, 6))
    visit.counters.of_life(f"{status.get('pid', '')} {status.get('process', '')}")
    server_status(visit, status)
    if isinstance(replica, OperationFailure):
        if replica.code not in NOT_A_REPLICA:
            visit.lacks("privilege", f"replSetGetStatus: {replica.details and replica.details.get('errmsg', '')}")
    elif replica is not None:
        replica_set(visit, replica)
    if isinstance(operations, OperationFailure):
        visit.lacks("privilege", f"currentOp: {operations.details and operations.details.get('errmsg', '')}")
    elif operations is not None:
        running = [float(one.get("secs_running", 0)) for one in operations.get("inprog", ()) if _is_a_query(one)]
        visit.add("mongodb.longest_operation_s", max(running, default=0.0))


def _ask(visit: Visit, address: str, port: int) -> tuple[Reply, Reply | OperationFailure, Reply | OperationFailure]:
    config = visit.config
    timeout_ms = round(config.timeout_s * 1000)
    signed: dict[str, Any] = {}
    if config.user:
        source = visit.option("auth_source", "admin")
        signed = {"username": config.user, "password": visit.password, "authSource": source}
    if config.tls:
        # The certificate is checked against the authorities; its name cannot be, as the address is what is dialled.
        signed |= {"tls": True, "tlsAllowInvalidHostnames": True, "tlsAllowInvalidCertificates": not config.verify_tls}
    try:
        with pymongo.MongoClient(
            address,
            port,
            directConnection=True,
            serverSelectionTimeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,
            socketTimeoutMS=timeout_ms,
            maxPoolSize=1,
            retryReads=False,
            appname="rdmp",
            **signed,
        ) as client:
            admin: Callable[..., Reply] = client.admin.command
            status = admin({"serverStatus": 1, "tcmalloc": 0, "locks": 0})
            return (
                status,
                _allowed(lambda: admin("replSetGetStatus")),
                _allowed(lambda: admin({"currentOp": 1, "active": True, "secs_running": {"$gte": 1}})),
            )
    except OperationFailure as error:
        code = "privilege" if error.code == UNAUTHORIZED else "sign_in"
        raise CannotReadError(code, str(error.details and error.details.get("errmsg", ""))[:300]) from None
    except (ServerSelectionTimeoutError, AutoReconnect, ConnectionFailure) as error:
        raise CannotReadError("wrong_page", str(error)[:200]) from None
    except (ConfigurationError, PyMongoError) as error:
        raise CannotReadError("server_error", str(error)[:200]) from None


def _allowed(command: Callable[[], Reply]) -> Reply | OperationFailure:
    try:
        return command()
    except OperationFailure as error:
        return error


def server_status(visit: Visit, status: Reply) -> None:
    """The figures of one serverStatus reply."""
    connections = status.get("connections", {})
    current, available = float(connections.get("current", 0)), float(connections.get("available", 0))
    visit.add("mongodb.connections", current)
    visit.add("mongodb.connection.util", share(current, current + available))
    visit.add("mongodb.uptime_s", float(status.get("uptime", 0)))
    memory = status.get("mem", {})
    if "resident" in memory:
        visit.add("mongodb.mem.resident_bytes", float(memory["resident"]) * 1024 * 1024)
    cache = status.get("wiredTiger", {}).get("cache", {})
    most = float(cache.get("maximum bytes configured", 0))
    if most > 0:
        visit.add("mongodb.cache.util", share(float(cache.get("bytes currently in the cache", 0)), most))
        dirty = float(cache.get("tracked dirty bytes in the cache", 0))
        visit.add("mongodb.cache.dirty_pct", share(dirty, most))
    queue = status.get("globalLock", {}).get("currentQueue", {})
    visit.add("mongodb.queued", float(queue.get("total", 0)))
    for name in OPERATIONS:
        if name in status.get("opcounters", {}):
            visit.rate("mongodb.operations_per_s", float(status["opcounters"][name]), operation=name)
    network = status.get("network", {})
    for metric, field in (("mongodb.net_in_bytes_per_s", "bytesIn"), ("mongodb.net_out_bytes_per_s", "bytesOut")):
        if field in network:
            visit.rate(metric, float(network[field]))
    faults = status.get("extra_info", {}).get("page_faults")
    if faults is not None:
        visit.rate("mongodb.page_faults_per_s", float(faults))


def replica_set(visit: Visit, status: Reply) -> None:
    """State and lag of this member: behind the newest write that the primary has."""
    members = status.get("members", ())
    visit.add("mongodb.member_state", float(status.get("myState", 6)))
    me = next((one for one in members if one.get("self")), None)
    primary = next((one for one in members if one.get("state") == PRIMARY), None)
    visit.add("mongodb.members_unhealthy", sum(1 for one in members if one.get("health") != 1))
    if me is not None and primary is not None and me.get("optimeDate") and primary.get("optimeDate"):
        lag = (primary["optimeDate"] - me["optimeDate"]).total_seconds()
        visit.add("mongodb.replica.lag_s", max(lag, 0.0))


def _is_a_query(one: Mapping[str, Any]) -> bool:
    """An operation of somebody, not one that the server runs for itself for ever."""
    return bool(one.get("client")) and one.get("op") not in ("none", None) and "hello" not in one.get("command", {})


PRODUCT: Final = Product(
    slug="mongodb",
    name_zh="MongoDB",
    name_en="MongoDB",
    icon="leaf",
    port=27017,
    user="rdmp",
    collect=collect,
    asks=frozenset({"user", "password", "tls"}),
    options=(Option("auth_source", "认证库", "Authentication database", "admin"),),
    needs="MongoDB ≥ 3.6",
    prerequisites=(
        Prerequisite(
            "以管理员身份建立只有 clusterMonitor 角色的用户（副本集只需在主节点执行一次）。",
            "As an administrator make a user with only the clusterMonitor role (for a replica set: on its primary).",
            "use admin\n"
            'db.createUser({user: "rdmp", pwd: "<PASSWORD>", roles: [{role: "clusterMonitor", db: "admin"}]})',
        ),
        Prerequisite(
            "验证：应返回 ok: 1。",
            "Verify: it must answer ok: 1.",
            "mongosh -u rdmp -p --authenticationDatabase admin --eval 'db.serverStatus().ok'",
        ),
    ),
)
