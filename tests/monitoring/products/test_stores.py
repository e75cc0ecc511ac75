"""Redis, ZooKeeper, RabbitMQ and PostgreSQL, each for real."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import redis

from accounts.models import Customer
from monitoring.collectors import Outcome, Problem
from monitoring.collectors.products import redis as redis_adapter
from monitoring.collectors.products import zookeeper as zookeeper_adapter
from monitoring.collectors.products.frame import CannotReadError
from tests.monitoring.products.alarms import states, store
from tests.monitoring.products.servers import PASSWORD, Rabbit, Running, wait, zookeeper_server
from tests.monitoring.products.visits import earlier, figures, look, names, wanted
from tests.monitoring.samples import server

# --- Redis ---------------------------------------------------------------------------------------------------------


async def redis_look(own: Running, *, user: str = "rdmp", password: str = PASSWORD, **more: Any) -> Outcome:
    return await look("redis", own.port, user=user, password=password, **more)


def client(own: Running) -> redis.Redis:
    return redis.Redis(port=own.port, password=PASSWORD)


async def test_the_contracts_items_of_redis(own_redis: Running) -> None:
    first = await redis_look(own_redis)
    assert first.problem is None
    client(own_redis).set("a", "x")
    found = figures(await redis_look(own_redis, state=earlier(first)))
    # Redis 5 replaced the list's length by bytes; big keys have a test of their own.
    assert wanted("Redis") - {"redis.client_output_list", "redis.bigkeys"} <= names(first)
    assert found["redis.clients"] >= 1
    assert 0 < found["redis.mem.util"] < 100
    assert found["redis.ops_per_s"] > 0
    assert [step.name for step in first.steps] == ["resolved", "connected", "signed_in", "version", "figures"]


async def test_a_redis_before_5_gives_the_length_of_the_longest_output_list() -> None:
    info = (
        "redis_version:4.0.14\r\nuptime_in_seconds:900\r\nconnected_clients:3\r\nclient_longest_output_list:7\r\n"
        "client_biggest_input_buf:512\r\nblocked_clients:1\r\n"
    )

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            writer.write(f"${len(info)}\r\n{info}\r\n".encode())
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(say, "127.0.0.1", 0)
    async with listening:
        outcome = await look("redis", listening.sockets[0].getsockname()[1])
    assert outcome.problem is None
    found = figures(outcome)
    assert (found["redis.client_output_list"], found["redis.client_input_buf_bytes"]) == (7, 512)
    assert "redis.client_output_buf_bytes" not in found


async def test_big_keys_are_found_a_bounded_piece_at_a_time(
    own_redis: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_adapter, "SCAN_KEYS", 200)
    keys = client(own_redis)
    keys.flushall()
    keys.mset({f"small-{number}": "x" for number in range(600)})
    keys.set("big", "x" * 200_000)
    state: Any = None
    options = {"scan_big_keys": True, "big_key_kib": 100}
    counts = []
    for _ in range(6):
        outcome = await redis_look(own_redis, state=state, options=options)
        state = outcome.state
        counts.append(figures(outcome).get("redis.bigkeys"))
    assert counts[0] is None  # the first round is not through
    assert counts[-1] == 1
    keys.delete("big")
    for _ in range(8):
        outcome = await redis_look(own_redis, state=outcome.state, options=options)
    assert figures(outcome)["redis.bigkeys"] == 0


async def test_redis_names_the_right_that_is_missing_and_a_wrong_password(own_redis: Running) -> None:
    assert (await redis_look(own_redis, user="poor")).problem == Problem("privilege", "ACL SETUSER poor +info +ping")
    for password in ("", "wrong"):
        outcome = await redis_look(own_redis, password=password)
        assert outcome.problem is not None
        assert outcome.problem.code == "sign_in"


# --- ZooKeeper -----------------------------------------------------------------------------------------------------


async def test_zookeepers_items_in_seconds(zookeeper: Running) -> None:
    outcome = await look("zookeeper", zookeeper.port)
    found = figures(outcome)
    assert outcome.problem is None
    assert found["zookeeper.fd.util"] == pytest.approx(found["zookeeper.fd_open"] / found["zookeeper.fd_max"] * 100)
    leaders_own = {"zookeeper.followers", "zookeeper.synced_followers", "zookeeper.pending_syncs"}
    assert wanted("Zookeeper") - leaders_own <= names(outcome)
    assert (outcome.state or {})["facts"] == {"version": "ZooKeeper 3.8.0", "role": "standalone"}


LEADER = (
    "zk_version\t3.8.0-1\nzk_avg_latency\t3500.5\nzk_max_latency\t9000\nzk_min_latency\t0\nzk_server_state\tleader\n"
    "zk_outstanding_requests\t11\nzk_learners\t2\nzk_synced_followers\t2\nzk_pending_syncs\t0\n"
)


async def answering(text: str) -> Outcome:
    """A look at a server that says ``text`` to whatever word it is told."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4)
        writer.write(text.encode())
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(say, "127.0.0.1", 0)
    async with listening:
        return await look("zookeeper", listening.sockets[0].getsockname()[1])


async def test_a_latency_of_three_and_a_half_thousand_milliseconds_is_three_and_a_half_seconds() -> None:
    found = figures(await answering(LEADER))
    assert found["zookeeper.avg_latency_s"] == 3.5005
    assert found["zookeeper.max_latency_s"] == 9
    assert (found["zookeeper.followers"], found["zookeeper.synced_followers"], found["zookeeper.pending_syncs"]) == (
        2, 2, 0,
    )  # fmt: skip


@pytest.mark.django_db
def test_the_latency_rule_compares_seconds(jia: Customer) -> None:
    asset = server(jia, name="zk-01", kind="middleware")
    slow, fine = LEADER, LEADER.replace("3500.5", "12.0").replace("\t11\n", "\t0\n")
    for at in range(3):
        store(asset, asyncio.run(answering(slow)), at)
    assert states(asset) == {"zookeeper-avg-latency": False, "zookeeper-outstanding": False}
    for at in range(3, 6):
        store(asset, asyncio.run(answering(fine)), at)
    assert states(asset) == {"zookeeper-avg-latency": True, "zookeeper-outstanding": True}


def mntr(zookeeper: Running) -> str:
    with socket.create_connection(("127.0.0.1", zookeeper.port), timeout=10) as sock:
        sock.sendall(b"mntr")
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


@pytest.mark.django_db
def test_open_files_near_the_limit_of_the_process_alarm_and_recover(zookeeper: Running, jia: Customer) -> None:
    """The real answer, with more open files than there are."""
    asset = server(jia, name="zk-02", kind="middleware")
    found = dict(line.split("\t", 1) for line in mntr(zookeeper).splitlines())
    limit = int(found["zk_max_file_descriptor_count"])

    def answer(open_files: int) -> str:
        said = {**found, "zk_open_file_descriptor_count": str(open_files)}
        return "".join(f"{name}\t{value}\n" for name, value in said.items())

    for at, share in enumerate([0.5, 0.81, 0.81]):
        store(asset, asyncio.run(answering(answer(int(limit * share)))), at)
    assert states(asset) == {}
    store(asset, asyncio.run(answering(answer(int(limit * 0.81)))), 3)
    assert states(asset) == {"zookeeper-fd-util": False}
    for at in range(4, 7):
        store(asset, asyncio.run(answering(answer(int(limit * 0.5)))), at)
    assert states(asset) == {"zookeeper-fd-util": True}


async def test_a_command_that_is_not_allowed_is_told_with_the_line_to_add() -> None:
    with zookeeper_server(words="ruok") as closed:
        outcome = await look("zookeeper", closed.port)
    assert outcome.problem == Problem("disabled", "4lw.commands.whitelist=mntr")


def test_a_server_without_a_quorum_is_not_taken_for_another_program() -> None:
    with pytest.raises(CannotReadError) as found:
        zookeeper_adapter.read("This ZooKeeper instance is not currently serving requests\n")
    assert found.value.code == "server_error"


# --- RabbitMQ ------------------------------------------------------------------------------------------------------


async def rabbit_look(rabbit: Rabbit, user: str = "rdmp", password: str = PASSWORD) -> Outcome:
    return await look("rabbitmq", rabbit.port, user=user, password=password)


async def test_a_node_against_its_own_limits(rabbitmq: Rabbit) -> None:
    outcome = await rabbit_look(rabbitmq)
    assert outcome.problem is None
    found = {name.partition("{")[0]: value for name, value in figures(outcome).items()}
    assert found["rabbitmq.disk_free_bytes"] > found["rabbitmq.disk_free_limit_bytes"] == 10_000_000
    assert 0 < found["rabbitmq.mem_used_bytes"] < found["rabbitmq.mem_limit_bytes"] == 256_000_000
    for name in ("fd", "erlang_proc", "socket"):
        assert 0 <= found[f"rabbitmq.{name}.util"] < 50
    assert found["rabbitmq.health"] == 0


@pytest.mark.django_db
def test_memory_over_its_limit_and_the_health_check_alarm_and_recover(rabbitmq: Rabbit, jia: Customer) -> None:
    asset = server(jia, name="mq-01", kind="middleware")

    rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "50MB")
    wait(lambda: amount(rabbitmq, "mem_limit") == 50_000_000, what="the lower limit")
    wait(lambda: unhealthy(rabbitmq), what="the alarm")
    for at in range(3):
        store(asset, asyncio.run(rabbit_look(rabbitmq)), at)
    assert states(asset) == {"rabbitmq-mem-limit": False, "rabbitmq-health": False}
    rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "256MB")
    wait(lambda: amount(rabbitmq, "mem_limit") == 256_000_000, what="the limit as it was")
    wait(lambda: not unhealthy(rabbitmq), what="the end of the alarm")
    for at in range(3, 6):
        store(asset, asyncio.run(rabbit_look(rabbitmq)), at)
    assert states(asset) == {"rabbitmq-mem-limit": True, "rabbitmq-health": True}


@pytest.mark.django_db
def test_too_little_disk_alarms_as_the_difference_to_the_limit(rabbitmq: Rabbit, jia: Customer) -> None:
    asset = server(jia, name="mq-02", kind="middleware")
    rabbitmq.ctl("set_disk_free_limit", "999GB")
    wait(lambda: amount(rabbitmq, "disk_free_limit") == 999_000_000_000, what="the higher limit")
    wait(lambda: unhealthy(rabbitmq), what="the alarm")
    for at in range(3):
        store(asset, asyncio.run(rabbit_look(rabbitmq)), at)
    assert states(asset) == {"rabbitmq-disk-free": False, "rabbitmq-health": False}
    rabbitmq.ctl("set_disk_free_limit", "10MB")
    wait(lambda: amount(rabbitmq, "disk_free_limit") == 10_000_000, what="the limit as it was")
    wait(lambda: not unhealthy(rabbitmq), what="the end of the alarm")
    for at in range(3, 6):
        store(asset, asyncio.run(rabbit_look(rabbitmq)), at)
    assert states(asset) == {"rabbitmq-disk-free": True, "rabbitmq-health": True}


def amount(rabbit: Rabbit, name: str) -> float:
    found = figures(asyncio.run(rabbit_look(rabbit)))
    return next(value for full, value in found.items() if full.startswith(f"rabbitmq.{name}_bytes"))


def unhealthy(rabbit: Rabbit) -> bool:
    found = figures(asyncio.run(rabbit_look(rabbit)))
    return any(value == 1 for name, value in found.items() if name.startswith("rabbitmq.health"))


async def test_rabbitmq_names_the_tag_that_is_missing_and_a_wrong_password(rabbitmq: Rabbit) -> None:
    poor = (await rabbit_look(rabbitmq, user="poor")).problem
    assert poor == Problem("privilege", "rabbitmqctl set_user_tags poor monitoring")
    wrong = (await rabbit_look(rabbitmq, password="wrong")).problem
    assert wrong is not None
    assert wrong.code == "sign_in"


# --- PostgreSQL ----------------------------------------------------------------------------------------------------


async def test_postgresqls_statistics(postgres: int) -> None:
    first = await look("postgresql", postgres, user="rdmp_watch", password=PASSWORD)
    assert first.problem is None
    second = await look("postgresql", postgres, user="rdmp_watch", password=PASSWORD, state=earlier(first))
    found = figures(second)
    assert found["postgresql.connections"] >= 1
    assert 0 < found["postgresql.connection.util"] <= 100
    assert found["postgresql.tps"] >= 0
    assert found["postgresql.deadlocks"] >= 0
    assert {"postgresql.long_queries", "postgresql.longest_transaction_s", "postgresql.temp_files_per_s"} <= set(found)
    assert "postgresql.replica.lag_s" not in found
    assert (second.state or {})["facts"]["role"] == "primary"


async def test_postgresql_names_the_grant_that_is_missing(postgres: int) -> None:
    outcome = await look("postgresql", postgres, user="rdmp_poor", password=PASSWORD)
    assert outcome.problem == Problem("privilege", 'GRANT pg_monitor TO "rdmp_poor";')
    assert "postgresql.connections" in figures(outcome)
    assert "postgresql.long_queries" not in figures(outcome)


async def test_a_database_that_does_not_exist_and_another_program(postgres: int, own_redis: Running) -> None:
    missing = await look("postgresql", postgres, user="rdmp_watch", password=PASSWORD, options={"database": "nowhere"})
    assert missing.problem is not None
    assert missing.problem.code == "path_missing"
    other = await look("postgresql", own_redis.port, user="x", password="x", timeout_s=3)
    assert other.problem is not None
    assert other.problem.code in ("wrong_page", "timeout", "server_error")
