"""The main job on real input: a port closes, and everything that the contract promises about it happens."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

from demo.cast import CUSTOMERS
from demo.robots import Received, Robots
from tests.e2e.browser import PHONE, chromium, shoot, signed_in
from tests.e2e.conftest import CHECK_PERIOD_S, Platform
from tests.e2e.stack import Stack

pytestmark = pytest.mark.e2e

FAILED_CHECKS = 3
WITHIN_S = 10
ENGINEER, PM, STRANGER = "chen@rdmp.example", "wang@xinghai.example", "sun@yuanfan.example"
PORT_ASSET = "演示服务"


def test_a_closed_port_becomes_an_alarm_on_the_board_and_its_recovery_is_on_the_same_incident(
    platform: Platform,
) -> None:
    stack, robots = platform.stack, platform.robots
    with chromium() as browser:
        board = signed_in(browser, stack, ENGINEER)
        expect(board).to_have_url(re.compile("/board/"))
        card = board.locator(".incident-card", has_text=PORT_ASSET)
        expect(card).to_have_count(0)

        stack.manage("demo_alarm")
        # The command says so once the port is told to close: three checks fail from here on, and then ten seconds.
        expect(card).to_have_count(1, timeout=(FAILED_CHECKS * CHECK_PERIOD_S + WITHIN_S) * 1000)
        assert_clock_runs(board)
        shoot(board, "board-alarm")

        message = wait_for_message(robots, PORT_ASSET)
        assert message.robot == CUSTOMERS[0].robot
        assert not robots.refused, "the robot checks the signature and refused a message"

        card.focus()
        board.keyboard.press("a")
        expect(board.locator(".incident-card[data-state=acknowledged]", has_text=PORT_ASSET)).to_have_count(1)
        card.locator(".ic-title").click()
        board.wait_for_url(re.compile(r"/incidents/\d+/"))
        shoot(board, "incident-acknowledged")
        address = board.url

        customer = signed_in(browser, stack, PM, size=PHONE)
        customer.goto(address)
        timeline = customer.locator("#timeline")
        expect(timeline).to_contain_text("陈硕")
        shoot(customer, "incident-customer-phone")

        stranger = signed_in(browser, stack, STRANGER)
        answer = stranger.goto(address)
        assert answer is not None
        assert answer.status == 404

        stack.manage("demo_recover")
        recovered = board.locator("#timeline", has_text="恢复")
        expect(recovered).to_have_count(1, timeout=(FAILED_CHECKS * CHECK_PERIOD_S + WITHIN_S) * 1000)
        shoot(board, "incident-recovered")
        assert_one_incident(board, stack)


def assert_clock_runs(board: Page) -> None:
    figure = board.locator(".incident-card", has_text=PORT_ASSET).locator("[data-countdown-figure]")
    before = figure.inner_text()
    board.wait_for_timeout(1500)
    assert figure.inner_text() != before


def wait_for_message(robots: Robots, words: str, timeout_s: float = WITHIN_S) -> Received:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for message in robots.received:
            if words in message.title + message.text:
                return message
        time.sleep(0.1)
    raise AssertionError(f"no message with {words!r} among {[m.title for m in robots.received]}; {robots.refused}")


def assert_one_incident(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/incidents/?q={PORT_ASSET}")
    expect(page.locator("tbody tr", has_text=PORT_ASSET)).to_have_count(1)
