"""Writing on an incident in headless Chromium: names, replies, files, drafts, what the server refuses."""

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import Customer, User
from incidents import services
from incidents.models import Incident
from tests.incidents.conftest import raise_incident
from tests.portal import Visit, elsewhere

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def incident(jia: Customer, alice: User) -> Incident:
    return elsewhere(lambda: raise_incident(alice, customer=jia, now=timezone.now()))


def drop(page: Page, name: str, content: str, kind: str = "text/plain") -> None:
    """Drop a file onto the composer, as from a desktop."""
    page.evaluate(
        """([name, content, type]) => {
            const data = new DataTransfer();
            data.items.add(new File([content], name, { type }));
            for (const kind of ["dragover", "drop"])
                document.querySelector("[data-composer] textarea")
                    .dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
        }""",
        [name, content, kind],
    )


def test_a_colleague_is_named_by_keyboard_and_hears_of_it(
    incident: Incident, chen: User, lin: User, visit: Visit
) -> None:
    page, colleague = visit(chen, f"/incidents/{incident.pk}/"), visit(lin, "/board/")
    page.keyboard.press("m")
    page.keyboard.type("@Li")
    expect(page.locator("#mention-list li").first).to_contain_text(lin.name)
    page.keyboard.press("Enter")
    page.keyboard.type("please look")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#timeline .mention")).to_have_text(f"@{lin.name}")
    expect(page.locator("#id_body")).to_have_value("")
    expect(colleague.locator("header .badge-pill")).to_contain_text("1")


def test_a_kept_reply_is_put_into_the_composer_filled_in(incident: Incident, chen: User, visit: Visit) -> None:
    elsewhere(
        lambda: services.keep_reply(
            reply=None,
            name="Took it",
            body="{number} is with {name}.",
            customer=None,
            is_internal=True,
            actor=chen,
            now=timezone.now(),
        )
    )
    page = visit(chen, f"/incidents/{incident.pk}/")
    page.keyboard.press("y")
    page.click("[data-reply]:has-text('Took it')")
    expect(page.locator("#id_body")).to_have_value(f"{incident.number} is with {chen.name}.")
    expect(page.locator("[name=is_internal]")).to_be_checked()
    page.click("button:has-text('Send')")
    expect(page.locator("#timeline .entry-internal")).to_contain_text("is with")
    expect(page.locator("[name=is_internal]")).not_to_be_checked()


def test_files_are_dropped_taken_away_and_sent(incident: Incident, alice: User, visit: Visit) -> None:
    page = visit(alice, f"/incidents/{incident.pk}/", width=390, height=844)
    drop(page, "first.log", "one")
    drop(page, "second.log", "two")
    expect(page.locator("[data-chosen-files] .badge")).to_have_count(2)
    page.click("[data-chosen-files] .badge:has-text('first.log') button")
    page.click("button:has-text('Send')")
    expect(page.locator("#timeline .file")).to_have_count(1)
    expect(page.locator("#timeline .file")).to_contain_text("second.log")
    expect(page.locator("[data-chosen-files] .badge")).to_have_count(0)


SCREENSHOT = """async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 40, height: 30 });
    canvas.getContext("2d").fillRect(0, 0, 20, 30);
    const picture = await new Promise((made) => canvas.toBlob(made, "image/png"));
    await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
}"""
"""Puts a picture onto the clipboard, as a program for screenshots does."""


def test_a_screenshot_is_pasted_beside_other_files_and_words_stay_words(
    incident: Incident, alice: User, visit: Visit
) -> None:
    page = visit(alice, f"/incidents/{incident.pk}/")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    drop(page, "first.log", "one")
    page.focus("#id_body")
    page.evaluate(SCREENSHOT)
    page.keyboard.press("Control+V")
    expect(page.locator("[data-chosen-files] .badge")).to_have_count(2)
    expect(page.locator("[data-chosen-files] .badge").last).to_contain_text("image.png")
    expect(page.locator(".toasts")).to_contain_text("image.png")
    expect(page.locator("#id_body")).to_have_value("")
    page.evaluate("navigator.clipboard.writeText('as the picture shows')")
    page.keyboard.press("Control+V")
    expect(page.locator("#id_body")).to_have_value("as the picture shows")
    expect(page.locator("[data-chosen-files] .badge")).to_have_count(2)
    page.click("button:has-text('Send')")
    expect(page.locator("#timeline .file")).to_have_count(2)
    expect(page.locator("#timeline .file", has_text="image.png")).to_have_count(1)


def test_what_the_server_refuses_stays_in_the_composer(incident: Incident, alice: User, visit: Visit) -> None:
    page = visit(alice, f"/incidents/{incident.pk}/")
    page.fill("#id_body", "Half an hour of work")
    drop(page, "page.html", "<html>", "text/html")
    page.click("button:has-text('Send')")
    expect(page.locator("[data-composer] [role=alert]")).to_contain_text("page.html")
    expect(page.locator("#id_body")).to_have_value("Half an hour of work")
    page.fill("#id_body", "Without the file")
    page.click("button:has-text('Send')")
    expect(page.locator("#timeline")).to_contain_text("Without the file")


def test_a_draft_survives_leaving_the_page(incident: Incident, alice: User, visit: Visit) -> None:
    page = visit(alice, f"/incidents/{incident.pk}/")
    page.locator("#id_body").press_sequentially("Not yet sent")
    page.reload()
    expect(page.locator("#id_body")).to_have_value("Not yet sent")
    page.click("button:has-text('Send')")
    expect(page.locator("#timeline")).to_contain_text("Not yet sent")
    page.reload()
    expect(page.locator("#id_body")).to_have_value("")


def test_the_filter_of_the_timeline_holds_while_the_page_refreshes(
    incident: Incident, alice: User, chen: User, visit: Visit
) -> None:
    page, other = visit(chen, f"/incidents/{incident.pk}/"), visit(alice, f"/incidents/{incident.pk}/")
    page.select_option("#timeline-view select", "talk")
    expect(page.locator("#timeline")).to_contain_text("Nothing of this kind yet")
    other.fill("#id_body", "Order 7")
    other.click("button:has-text('Send')")
    expect(page.locator("#timeline")).to_contain_text("Order 7")
    expect(page.locator("#timeline .entry")).to_have_count(1)
    page.select_option("#timeline-view select", "")
    expect(page.locator("#timeline .entry")).to_have_count(2)
