"""What every page promises: the menu of the role, the emergency card, language and theme, no inline code."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.http import HttpRequest
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone, translation

from accounts import scope
from accounts.models import User
from tests.conftest import ClientFor

pytestmark = pytest.mark.django_db
TEMPLATES = sorted(Path(settings.BASE_DIR, "templates").rglob("*.html"))
HREF = re.compile(r'<a class="nav-link[^"]*" href="([^"]+)"')


def menu(client: Client) -> set[str]:
    return set(HREF.findall(client.get("/profile/").content.decode()))


def test_project_managers_see_their_own_places_people_and_channels(client_for: ClientFor, alice: User) -> None:
    places = menu(client_for(alice))
    assert {"/", "/incidents/", "/contract/", "/users/", "/notify/channels/"} <= places
    assert not places & {"/board/", "/customers/", "/audit/", "/roster/"}


def test_members_and_readers_administer_nobody(client_for: ClientFor, bob: User, vera: User) -> None:
    for person in (bob, vera):
        assert not menu(client_for(person)) & {"/board/", "/customers/", "/users/", "/audit/", "/roster/"}
    assert "/notify/channels/" not in menu(client_for(vera))


def test_engineers_work_from_the_board_and_administer_nothing(client_for: ClientFor, chen: User) -> None:
    places = menu(client_for(chen))
    assert {"/board/", "/incidents/", "/customers/", "/roster/"} <= places
    assert not places & {"/users/", "/audit/", "/"}


def test_managers_see_users_and_the_audit_log(client_for: ClientFor, lin: User) -> None:
    assert {"/users/", "/audit/", "/customers/"} <= menu(client_for(lin))


def test_everybody_finds_the_emergency_contact_even_before_signing_in(client_for: ClientFor, alice: User) -> None:
    for browser, path in ((Client(), "/accounts/login/"), (client_for(alice), "/profile/")):
        text = browser.get(path).content.decode()
        assert settings.EMERGENCY_PHONE in text
        assert settings.EMERGENCY_EMAIL in text


def test_engineers_are_sent_to_their_board(client_for: ClientFor, chen: User) -> None:
    assert client_for(chen).get("/").headers["Location"] == "/board/"


def test_the_first_page_of_a_customer_shows_state_duty_and_contacts(client_for: ClientFor, alice: User) -> None:
    text = client_for(alice).get("/").content.decode()
    assert "甲方制造有限公司" in text
    assert settings.EMERGENCY_PHONE in text
    assert "/incidents/raise/" in text


def test_a_read_only_user_is_offered_no_incident_to_raise(client_for: ClientFor, vera: User) -> None:
    assert "/incidents/raise/" not in client_for(vera).get("/").content.decode()


def test_the_first_page_takes_the_same_number_of_queries_whatever_there_is(
    client_for: ClientFor, alice: User, django_assert_max_num_queries: object
) -> None:
    browser = client_for(alice)
    browser.get("/")
    with django_assert_max_num_queries(45):  # type: ignore[operator]  # pytest-django types it loosely
        assert browser.get("/").status_code == 200


def test_pages_are_chinese_whatever_the_browser_says() -> None:
    page = Client(headers={"accept-language": "en-US,en;q=0.9"}).get("/accounts/login/")
    assert 'lang="zh-Hans"' in page.content.decode()
    assert page.headers["Content-Language"] == "zh-hans"


def test_the_switch_of_the_language_is_remembered() -> None:
    browser = Client()
    browser.post("/i18n/setlang/", {"language": "en", "next": "/accounts/login/"})
    assert '<html lang="en"' in browser.get("/accounts/login/").content.decode()


def test_the_profile_says_the_language_where_no_switch_was_used(client_for: ClientFor, alice: User) -> None:
    alice.language = "en"
    with scope.platform("test"):
        alice.save(update_fields=["language"])
    assert '<html lang="en"' in client_for(alice).get("/profile/").content.decode()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_theme_is_rendered_by_the_server(theme: str) -> None:
    browser = Client()
    browser.cookies["theme"] = theme
    assert f'data-bs-theme="{theme}"' in browser.get("/accounts/login/").content.decode()


def test_an_unknown_theme_is_ignored() -> None:
    browser = Client()
    browser.cookies["theme"] = '"><script>'
    text = browser.get("/accounts/login/").content.decode()
    assert "<script>" not in text
    assert "data-bs-theme" not in text


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_page_needs_inline_code_or_style(path: Path) -> None:
    """The content security policy refuses them; mails and printed documents have no policy, and no scripts either."""
    source = path.read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=[\"']", source)
    assert "javascript:" not in source
    if not {"email", "pdf"} & set(path.parts):
        assert not re.search(r"\sstyle=[\"']", source)
        assert "<style" not in source
    for attributes, body in re.findall(r"<script([^>]*)>(.*?)</script>", source, re.DOTALL):
        assert "src=" in attributes or "application/json" in attributes or not body.strip()


@pytest.mark.parametrize("name", ["400.html", "403.html", "403_csrf.html", "404.html", "429.html", "500.html"])
def test_error_pages_speak_without_a_request(name: str) -> None:
    text = render_to_string(name)
    assert settings.EMERGENCY_PHONE in text


def test_a_page_that_does_not_exist_says_so_in_our_look(client_for: ClientFor, alice: User) -> None:
    answer = client_for(alice).get("/nowhere/")
    assert answer.status_code == 404
    assert "brand-mark" in answer.content.decode()


# --- components ------------------------------------------------------------------------------------------------------


def countdown(**context: object) -> str:
    with translation.override("en"):
        return Template('{% include "_components/countdown.html" %}').render(Context(context))


def test_a_clock_is_calm_then_amber_then_red() -> None:
    now = timezone.now()
    started = now - timedelta(minutes=1)
    assert 'data-state="ok"' in countdown(due_at=now + timedelta(minutes=14), started_at=started)
    assert 'data-state="soon"' in countdown(due_at=now + timedelta(minutes=3), started_at=now - timedelta(minutes=12))
    late = countdown(due_at=now - timedelta(minutes=2, seconds=5))
    assert 'data-state="late"' in late
    assert "02:0" in late


def test_a_stopped_clock_says_whether_it_was_in_time() -> None:
    now = timezone.now()
    in_time = countdown(due_at=now, stopped_at=now - timedelta(minutes=10))
    assert 'data-state="stopped"' in in_time
    assert "10:00" in in_time
    assert 'data-state="stopped-late"' in countdown(due_at=now, stopped_at=now + timedelta(minutes=10))


def test_without_a_deadline_there_is_no_clock() -> None:
    assert countdown(due_at=None).strip() == ""


@pytest.mark.parametrize("severity", [1, 2, 3, 4])
def test_a_severity_is_told_by_word_and_shape_not_by_colour_alone(severity: int) -> None:
    with translation.override("en"):
        text = Template('{% include "_components/severity.html" %}').render(Context({"severity": severity}))
    assert f"sev-{severity}" in text
    assert 'class="ti ti-' in text
    assert ["Disaster", "High", "Average", "Warning"][severity - 1] in text


def test_times_are_shown_in_china_standard_time() -> None:
    moment = datetime(2026, 3, 1, 20, 0, tzinfo=UTC)
    text = Template("{% load rdmp %}{{ moment|localtime_full }}").render(Context({"moment": moment}))
    assert text == "2026-03-02 04:00:00"


def test_what_people_wrote_is_escaped_in_every_component() -> None:
    nasty = '<img src=x onerror="alert(1)">'
    contexts: dict[str, dict[str, object]] = {
        "empty.html": {"title": nasty, "text": nasty, "action_url": nasty, "action_label": nasty},
        "state.html": {"label": nasty, "tone": nasty},
        "person.html": {"user": {"name": nasty}},
    }
    for name, context in contexts.items():
        assert "<img" not in render_to_string(f"_components/{name}", context)


def test_the_menu_marks_the_place_one_is_in(client_for: ClientFor, lin: User) -> None:
    text = client_for(lin).get("/users/").content.decode()
    assert re.search(r'href="/users/" aria-current="page"', text)


def test_a_request_without_a_person_has_no_menu() -> None:
    request = HttpRequest()
    assert "nav-item" not in render_to_string("_components/navigation.html", {"request": request})
