"""The main path of a change by clicks alone: asked for, gated from both sides, carried out on the cloud, found again.

A project manager wants a larger disk. Nothing happens on the cloud before every gate is passed; what the platform then
does is found in the cloud's audit trail; and what somebody else does there, under no change, opens an incident.
"""

import json
import re
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from demo.aliyun import JIA_UID
from tests.e2e.browser import DESKTOP, PHONE, chromium, shoot, signed_in
from tests.e2e.conftest import Platform
from tests.e2e.stack import Stack

pytestmark = pytest.mark.e2e

TRAIL_PERIOD_S = 5

PM, ENGINEER, OWNER = "wang@xinghai.example", "chen@rdmp.example", "lin@rdmp.example"
SECURITY, ADMIN = "gu@rdmp.example", "admin@rdmp.example"
ASSET = "mall-job-01"
TITLE = "任务机数据盘扩容到 400 GB"
SIZE_GB = "400"
SOON = 15_000
LONG = 60_000
"""A worker takes the timer, asks the cloud, and the page hears of it; or the trail is read again."""
BEIJING = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True)
class Cast:
    """One page for each person, all signed in at once."""

    pm: Page
    engineer: Page
    owner: Page
    security: Page
    admin: Page


def test_a_disk_is_enlarged_through_every_gate_and_what_nobody_asked_for_is_found(platform: Platform) -> None:
    stack = platform.stack
    control(stack, "pace", uid=JIA_UID, takes_s=3, listed_after_s=0)
    with chromium() as browser, listener() as port:
        cast = sign_in(browser, stack)
        asset, disk = asset_and_its_disk(cast.engineer, stack)
        watch_port(cast, stack, asset, port.number)

        request = ask_in_the_catalogue(cast.pm, stack, disk)
        change = draft(cast.engineer, stack, request)
        cast.pm.goto(change)
        tell_and_sign(cast)
        prove(cast.engineer)
        approve(cast, stack)
        cast.engineer.goto(change)
        schedule_now(cast.engineer)
        execute(cast)

        port.close()
        silenced_alarm_is_kept(cast.engineer, stack)

        cast.engineer.goto(change)
        finish(cast.engineer)
        sign_off(cast.pm)
        the_trail_knows_it(cast.engineer, stack, change)
        an_unknown_hand_opens_an_incident(cast.engineer, stack)


# --- people and their surroundings ----------------------------------------------------------------------------------


def sign_in(browser: Browser, stack: Stack) -> Cast:
    pages = {
        name: signed_in(browser, stack, email, size=size)
        for name, email, size in (
            ("pm", PM, PHONE),
            ("engineer", ENGINEER, DESKTOP),
            ("owner", OWNER, DESKTOP),
            ("security", SECURITY, PHONE),
            ("admin", ADMIN, DESKTOP),
        )
    }
    return Cast(**pages)


def control(stack: Stack, what: str, **said: object) -> None:
    """Steer the simulated cloud: its pace, and what others do there."""
    port = json.loads((stack.state_dir / "ports.json").read_text())["RDMP_DEMO_CLOUD_PORT"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/__control__/{what}",
        data=json.dumps(said).encode(),
        headers={"x-simulated-control": "1"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


@dataclass
class Port:
    """A service on the machine, until it is closed."""

    number: int
    close: Callable[[], None]


@contextmanager
def listener() -> Iterator[Port]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield Port(server.getsockname()[1], server.close)


def asset_and_its_disk(page: Page, stack: Stack) -> tuple[str, str]:
    """The address of the asset's page, and the data disk of the instance as the simulated cloud names it."""
    page.goto(f"{stack.url}/assets/?q={ASSET}")
    page.get_by_role("link", name=ASSET, exact=True).first.click()
    page.wait_for_url(re.compile(r"/assets/\d+/"))
    found = re.search(r"i-bp[a-z0-9]+", page.locator("main").inner_text())
    assert found is not None
    return page.url, "d-d" + found.group().removeprefix("i-")[1:]


def watch_port(cast: Cast, stack: Stack, asset: str, port: int) -> None:
    """The asset's service is checked every second; that it lies on the platform's own machine an admin allows."""
    number = asset.rstrip("/").rsplit("/", 1)[1]
    page = cast.engineer
    page.goto(f"{stack.url}/monitoring/targets/new/{number}/tcp/")
    page.fill("input[name=host]", "127.0.0.1")
    page.fill("input[name=port]", str(port))
    page.locator("main form button.btn-primary").click()
    page.wait_for_url(re.compile(r"/monitoring/targets/\d+/"))
    cast.admin.goto(page.url)
    allow = cast.admin.locator("form[action$='/internal/']")
    allow.locator("[name=reason]").fill("演示：与平台同机")
    allow.get_by_role("button", name="放行").click()
    until_there(cast.admin, cast.admin.locator("h1", has_text="采集正常"))


# --- the path ---------------------------------------------------------------------------------------------------------


def ask_in_the_catalogue(page: Page, stack: Stack, disk: str) -> str:
    page.goto(f"{stack.url}/changes/catalogue/")
    page.fill("#catalogue-q", "扩容")
    expect(page.get_by_role("link", name=re.compile("^创建 ECS"))).to_have_count(0)
    page.get_by_role("link", name=re.compile("磁盘空间的扩容")).click()
    page.fill("input[name=title]", TITLE)
    page.fill("input[name=field-disk_id]", disk)
    page.fill("input[name=field-size_gb]", SIZE_GB)
    page.fill("#asset-q", ASSET)
    expect(page.locator("#asset-options label")).to_have_count(1)
    page.get_by_label(ASSET).check()
    page.fill("textarea[name=description]", "日志增长快，月底前需要空间。")
    shoot(page, "change-asked-phone")
    page.get_by_role("button", name="提交请求").click()
    page.wait_for_url(re.compile(r"/incidents/\d+/"))
    return page.url


def draft(page: Page, stack: Stack, request: str) -> str:
    """The engineer accepts the request, which authorises, and drafts the change that it asks for."""
    page.goto(request)
    page.get_by_role("button", name="响应", exact=True).click()
    in_dialog(page, page.get_by_role("link", name="接受请求"))
    page.get_by_role("link", name="起草变更").click()
    expect(page.locator("input[name=field-size_gb]")).to_have_value(SIZE_GB)
    expect(page.get_by_label(ASSET)).to_be_checked()
    page.select_option("select[name=risk]", "high")
    page.fill("textarea[name=plan]", "1. 快照\n2. 在线扩容数据盘\n3. 扩展文件系统")
    page.fill("textarea[name=rollback]", "用快照恢复为新盘并替换。")
    page.get_by_role("button", name="保存").click()
    page.wait_for_url(re.compile(r"/changes/\d+/$"))
    in_dialog(page, page.get_by_role("link", name="提交", exact=True))
    expect(gate(page, "授权")).to_have_class(re.compile("is-passed"))
    expect(page.get_by_role("link", name="开始工作")).to_have_count(0)
    return page.url


def tell_and_sign(cast: Cast) -> None:
    """The customer's page shows without a reload that something waits for a signature."""
    link = gate(cast.engineer, "告知风险").get_by_role("link", name="告知风险")
    in_dialog(cast.engineer, link, text="扩容在线进行；文件系统扩展失败时需要重启，约 2 分钟。")
    cast.pm.get_by_role("link", name="阅读并答复").first.click(timeout=SOON)
    expect(cast.pm.locator(".attested")).to_contain_text("约 2 分钟")
    cast.pm.locator("input[name=has_read]").check()
    cast.pm.get_by_role("button", name="签署").click()
    expect(gate(cast.engineer, "甲方确认")).to_have_class(re.compile("is-passed"), timeout=SOON)


def prove(page: Page) -> None:
    """Tried on the test machine, and a snapshot of every disk made by the platform: evidence, not ticks."""
    gate(page, "非生产测试").get_by_role("link", name="登记测试").click()
    dialog = page.locator("#press-dialog")
    dialog.locator("select[name=asset]").select_option(label="mall-staging")
    dialog.get_by_label("通过", exact=True).check()
    dialog.locator("textarea[name=what]").fill("同样步骤在线扩容 20 GB，文件系统已扩展。")
    dialog.locator(".btn-primary").click()
    expect(dialog).to_be_hidden()
    expect(gate(page, "非生产测试")).to_have_class(re.compile("is-passed"), timeout=SOON)
    page.get_by_role("button", name="准备备份").click()
    run = page.locator(".run")
    expect(run.locator("code").first).to_contain_text("CreateSnapshot", timeout=SOON)
    run.get_by_role("button", name="执行").click()
    expect(gate(page, "备份")).to_have_class(re.compile("is-passed"), timeout=LONG)
    expect(page.locator(".change-side code").first).to_contain_text("s-")
    shoot(page, "change-proven")


def approve(cast: Cast, stack: Stack) -> None:
    """Owner, security and customer, one after the other, each in their own inbox."""
    for page in (cast.owner, cast.security, cast.pm):
        page.goto(f"{stack.url}/changes/approvals/")
        card = page.locator("section[data-row]", has_text=TITLE)
        expect(card).to_contain_text("约 2 分钟")
        shoot(page, f"approvals-{'phone' if page is not cast.owner else 'desktop'}")
        card.get_by_role("button", name="同意").click()
        expect(page.locator("section[data-row]", has_text=TITLE)).to_have_count(0)


def schedule_now(page: Page) -> None:
    now = datetime.now(BEIJING)
    gate(page, "安排窗口").get_by_role("link", name="安排窗口").click()
    dialog = page.locator("#press-dialog")
    dialog.locator("input[name=starts_at]").fill(f"{now - timedelta(minutes=1):%Y-%m-%dT%H:%M}")
    dialog.locator("input[name=ends_at]").fill(f"{now + timedelta(minutes=30):%Y-%m-%dT%H:%M}")
    dialog.locator(".btn-primary").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("link", name="开始工作")).to_be_visible(timeout=SOON)


def execute(cast: Cast) -> None:
    """Begun, looked at in a dry run, carried out: both sides follow it on pages that nobody loads again."""
    page = cast.engineer
    cast.pm.goto(page.url)
    mark_page(page)
    mark_page(cast.pm)
    in_dialog(page, page.get_by_role("link", name="开始工作"))
    expect(cast.pm.locator("#change")).to_contain_text("实施中", timeout=SOON)
    page.get_by_role("button", name="试运行").click()
    run = page.locator(".run", has_text="扩容云盘")
    expect(run).to_contain_text(SIZE_GB, timeout=SOON)
    run.get_by_role("button", name="执行").click()
    expect(run.locator(".bar")).to_be_visible(timeout=SOON)
    shoot(page, "change-executing")
    expect(run).to_contain_text("已完成并验证", timeout=LONG)
    expect(cast.pm.locator(".run", has_text="扩容云盘")).to_contain_text("已完成并验证", timeout=SOON)
    assert page.evaluate("window.sameDocument") and cast.pm.evaluate("window.sameDocument")  # noqa: PT018 - one claim
    shoot(cast.pm, "change-executed-phone")


def silenced_alarm_is_kept(page: Page, stack: Stack) -> None:
    """The asset's service is gone within the window: the alarm is written down, and nobody is called."""
    alert = page.locator("tbody tr", has_text=ASSET)
    page.goto(f"{stack.url}/monitoring/alerts/?q={ASSET}&state=open")
    expect(alert).to_have_count(1, timeout=LONG)
    expect(alert).to_contain_text("已静默")
    alert.get_by_role("link").first.click()
    page.wait_for_url(re.compile(r"/monitoring/alerts/\d+/"))
    expect(page.locator("main")).to_contain_text(re.compile(r"静默：变更 CHG-\d+"))
    shoot(page, "alert-in-window")
    page.goto(f"{stack.url}/board/")
    expect(page.locator(".incident-card")).not_to_have_count(0)
    expect(page.locator(".incident-card", has_text=ASSET).filter(has_text="端口")).to_have_count(0)


def finish(page: Page) -> None:
    for words, proof in (
        ("已有磁盘快照", {"field-snapshot_id": "s-bp1abc2def3"}),
        ("重启后自动挂载", {"field-mount": "UUID=5f0c /data ext4 defaults 0 0"}),
        ("新空间可见", {"field-size_gb": SIZE_GB}),
    ):
        in_dialog(page, page.get_by_role("link", name=f"登记: {words}"), **proof)
        expect(page.get_by_role("link", name=f"更正: {words}")).to_be_visible(timeout=SOON)
    in_dialog(page, page.get_by_role("link", name="工作完成"), result="云盘 400 GB，文件系统已扩展，df 可见新空间。")


def sign_off(page: Page) -> None:
    in_dialog(page, page.get_by_role("link", name="签字验收"), words="空间已可用。")
    expect(page.locator("#change")).to_contain_text("已关闭", timeout=SOON)
    shoot(page, "change-closed-phone")


# --- what the cloud's audit trail has of it ---------------------------------------------------------------------------


def the_trail_knows_it(page: Page, stack: Stack, change: str) -> None:
    number = change.rstrip("/").rsplit("/", 1)[1]
    page.goto(f"{stack.url}/changes/trail/?change={number}")
    event = page.locator("tbody tr", has_text="ResizeDisk")
    until_there(page, event)
    expect(event).to_contain_text(f"CHG-{int(number):06d}")
    shoot(page, "trail-of-change")
    page.goto(change)
    expect(page.locator(".change-side")).to_contain_text("ResizeDisk")


def an_unknown_hand_opens_an_incident(page: Page, stack: Stack) -> None:
    """Somebody opens a security group to the whole internet, under no change."""
    page.goto(f"{stack.url}/board/")
    card = page.locator(".incident-card", has_text="安全组向全网放开")
    before = card.count()
    opened = {"SecurityGroupId": "sg-bp1demo000000000000001", "IpProtocol": "tcp", "PortRange": "3306/3306"}
    control(
        stack,
        "trail",
        uid=JIA_UID,
        action="AuthorizeSecurityGroup",
        who="intern-li",
        ip="198.51.100.7",
        resources={"ACS::ECS::SecurityGroup": ["sg-bp1demo000000000000001"]},
        parameters={**opened, "SourceCidrIp": "0.0.0.0/0"},
    )
    expect(card).to_have_count(before + 1, timeout=LONG)
    shoot(page, "board-suspicious")
    card.first.locator(".ic-title").click()
    page.wait_for_url(re.compile(r"/incidents/\d+/"))
    expect(page.locator("main")).to_contain_text("intern-li", timeout=SOON)


# --- hands ------------------------------------------------------------------------------------------------------------


def gate(page: Page, name: str) -> Locator:
    return page.locator(".gate").filter(has=page.locator(".gate-text .fw-medium", has_text=re.compile(f"^{name}")))


def in_dialog(page: Page, opener: Locator, **said: str) -> None:
    """Open the verb's dialog, say it, press its button."""
    opener.first.click()
    dialog = page.locator("#press-dialog")
    expect(dialog).to_be_visible()
    for name, value in said.items():
        dialog.locator(f"[name={name}]").fill(value)
    dialog.locator(".dialog-foot .btn-primary").click()
    expect(dialog).to_be_hidden()


def mark_page(page: Page) -> None:
    page.evaluate("window.sameDocument = true")


def until_there(page: Page, wanted: Locator) -> None:
    """A page that does not follow by itself is loaded again by whoever looks."""
    for _ in range(LONG // 1000):
        if wanted.count():
            return
        page.wait_for_timeout(1000)
        page.reload()
    expect(wanted).not_to_have_count(0)
