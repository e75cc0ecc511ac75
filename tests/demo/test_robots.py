"""The simulated robots run by themselves: as a program, driven and read over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from demo.robots import Fault, running


@pytest.fixture
def base() -> Iterator[str]:
    command = [sys.executable, "-m", "demo.robots", "--port", "0", "--wecom", "key-1", "--dingtalk", "token-1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


def post(address: str, body: dict[str, object]) -> dict[str, object]:
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as reply:
        answer: dict[str, object] = json.loads(reply.read())
        return answer


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=5) as reply:
        return str(reply.read().decode())


def test_the_program_takes_messages_fails_on_demand_and_shows_them(base: str) -> None:
    address = f"{base}/cgi-bin/webhook/send?key=key-1"
    message: dict[str, object] = {"msgtype": "text", "text": {"content": "<b>磁盘满</b>"}}
    assert post(address, message)["errcode"] == 0
    post(f"{base}/_/faults", {"fault": "errcode", "value": 45009})
    assert post(address, message)["errcode"] == 45009
    assert post(f"{base}/robot/send?access_token=nobody", message)["errcode"] == 300001
    assert [entry["text"] for entry in json.loads(get(f"{base}/_/received"))["received"]] == ["<b>磁盘满</b>"]
    assert "&lt;b&gt;磁盘满&lt;/b&gt;" in get(base)


@pytest.mark.parametrize(
    ("message", "errcode"),
    [
        ({"msgtype": "nothing"}, 40035),
        ({"msgtype": "text", "text": {"content": "x" * 21_000}}, 460101),
        ({"msgtype": "text", "text": {"content": "没有关键词"}}, 310000),
        ({"msgtype": "actionCard", "actionCard": {"title": "告警", "text": "t"}}, 0),
    ],
)
def test_dingtalk_refuses_what_the_real_one_refuses(message: dict[str, object], errcode: int) -> None:
    with running() as robots:
        robots.add_dingtalk("token-1", keyword="告警")
        assert post(f"{robots.base}/robot/send?access_token=token-1", message)["errcode"] == errcode


def test_faults_come_in_the_order_planned() -> None:
    with running() as robots:
        robots.add_wecom("key-1")
        robots.fail_next(Fault.ERRCODE, 1, times=2)
        message: dict[str, object] = {"msgtype": "text", "text": {"content": "x"}}
        answers = [post(f"{robots.base}/cgi-bin/webhook/send?key=key-1", message)["errcode"] for _ in range(3)]
    assert answers == [1, 1, 0]
