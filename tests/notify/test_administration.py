"""Administering channels: who may, what is kept secret, what the pages show."""

from __future__ import annotations

import pytest
from django.utils import timezone

from accounts import scope, secrets
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from demo.robots import Fault, Robots
from notify.models import Channel, Delivery, Topic
from notify.services import channels, tell
from notify.services.channels import Details
from tests.conftest import NOW, ClientFor
from tests.notify.conftest import (
    SECRET,
    Clock,
    drain,
    make_channel,
    make_dingtalk,
    make_webhook,
    make_wecom,
    message,
    say,
    states,
)

pytestmark = pytest.mark.django_db

FORM = {"name": "运维群", "topics": ["incident", "alert"], "is_active": "on"}


@pytest.fixture
def channel_of_jia(jia: Customer, robots: Robots) -> Channel:
    return make_dingtalk(robots, jia)


@pytest.fixture
def clock() -> Clock:
    """Views use the real time."""
    return Clock(timezone.now())


def test_a_robot_is_entered_by_its_whole_address_and_tested(
    lin: User, jia: Customer, robots: Robots, client_for: ClientFor
) -> None:
    robots.add_dingtalk("tok-9f31", secret=SECRET)
    browser = client_for(lin)
    address = "https://oapi.dingtalk.com/robot/send?access_token=tok-9f31"
    said = FORM | {"access_token": address, "secret": SECRET}
    reply = browser.post(f"/notify/channels/new/?kind=dingtalk&customer={jia.pk}", said, follow=True)
    channel = _only_channel()
    assert reply.redirect_chain[-1][0] == f"/notify/channels/{channel.pk}/"
    page = browser.post(f"/notify/channels/{channel.pk}/test/", follow=True).content.decode()
    assert len(robots.received) == 1
    assert "ok" in page
    assert "tok-9f31" not in page
    assert SECRET not in page


def _only_channel() -> Channel:
    with scope.platform("test"):
        channel: Channel = Channel.objects.get()
        return channel


def test_no_page_or_csv_or_audit_entry_shows_a_secret(
    lin: User, jia: Customer, robots: Robots, client_for: ClientFor, clock: Clock
) -> None:
    made = [make_dingtalk(robots, jia, "tok-hidden"), make_wecom(robots, jia, "key-hidden")]
    made.append(make_webhook(robots, jia, "hook-hidden"))
    robots.fail_next(Fault.GARBAGE)
    say(jia, now=clock())
    for channel in made:
        drain(channel, clock)
    browser = client_for(lin)
    pages = ["/notify/channels/", "/notify/deliveries/", "/notify/deliveries/?export=csv", "/notify/inbox/"]
    for channel in made:
        pages += [f"/notify/channels/{channel.pk}/", f"/notify/channels/{channel.pk}/edit/"]
    with scope.platform("test"):
        pages += [f"/notify/deliveries/{pk}/" for pk in Delivery.objects.values_list("pk", flat=True)]
        written = str(list(AuditEntry.objects.values_list("detail", "object_name")))
        history = str(list(Channel.history.values()))
    text = "".join(browser.get(page).content.decode() for page in pages) + written + history
    for secret in ("tok-hidden", "key-hidden", "hook-hidden", "hook-secret", SECRET):
        assert secret not in text


def test_an_empty_secret_stays_and_a_new_one_ends_the_mute(jia: Customer, lin: User, robots: Robots) -> None:
    channel = make_dingtalk(robots, jia, "old-token")
    with scope.customer(jia):
        Channel.objects.filter(pk=channel.pk).update(muted_until=NOW)
        channels.update(channel=channel, details=Details(name="A"), values={}, actor=lin, now=NOW)
        assert secrets.use(obj=channel, field="access_token", purpose="test", now=NOW) == "old-token"
        channels.update(channel=channel, details=Details(name="A"), values={"access_token": "new"}, actor=lin, now=NOW)
        channel.refresh_from_db()
        assert secrets.use(obj=channel, field="access_token", purpose="test", now=NOW) == "new"
        assert channel.muted_until is None


def test_one_robot_is_one_channel_of_a_customer(jia: Customer, yi: Customer, robots: Robots) -> None:
    first = make_dingtalk(robots, jia, "same")
    with pytest.raises(DomainError) as refusal:
        make_dingtalk(robots, jia, "same")
    assert refusal.value.code == "robot_taken"
    assert make_dingtalk(robots, yi, "same").robot == first.robot


def test_next_channels_never_lead_in_a_circle_or_to_another_customer(
    jia: Customer, yi: Customer, lin: User, robots: Robots
) -> None:
    a = make_dingtalk(robots, jia, "a")
    b = make_dingtalk(robots, jia, "b", fallback=a)
    with scope.platform("test"):
        for channel, fallback in ((a, b), (a, a), (a, make_dingtalk(robots, yi, "c"))):
            with pytest.raises(DomainError):
                channels.update(
                    channel=channel, details=Details(name="A", fallback=fallback), values={}, actor=lin, now=NOW
                )


def test_a_retired_channel_forgets_its_secrets_and_its_place_in_the_chain(
    jia: Customer, lin: User, robots: Robots
) -> None:
    last = make_dingtalk(robots, jia, "c")
    middle = make_dingtalk(robots, jia, "b", fallback=last)
    first = make_dingtalk(robots, jia, "a", fallback=middle)
    with scope.customer(jia):
        channels.retire(channel=middle, actor=lin, now=NOW)
        first.refresh_from_db()
        assert first.fallback == last
        assert not secrets.is_set(middle, "access_token")
        assert not Channel.objects.existing().filter(pk=middle.pk).exists()


def test_a_message_waiting_on_a_channel_that_is_switched_off_goes_to_the_next(
    jia: Customer, lin: User, robots: Robots, clock: Clock
) -> None:
    chat = make_wecom(robots, jia, is_standby=True)
    ding = make_dingtalk(robots, jia, fallback=chat)
    say(jia)
    with scope.customer(jia):
        details = Details(name="off", is_active=False, fallback=chat)
        channels.update(channel=ding, details=details, values={}, actor=lin, now=NOW)
    drain(ding, clock)
    drain(chat, clock)
    assert (states(ding), states(chat)) == (["failed"], ["delivered"])


def test_a_muted_robot_hands_over_to_the_next_channel(jia: Customer, robots: Robots, clock: Clock) -> None:
    chat = make_wecom(robots, jia, is_standby=True)
    ding = make_dingtalk(robots, jia, fallback=chat)
    robots.fail_next(Fault.ERRCODE, 130101)
    say(jia, "first", now=clock())
    for _ in range(2):
        drain(ding, clock)
    say(jia, "while muted", now=clock())
    drain(ding, clock)
    assert states(ding) == ["failed", "failed"]
    assert drain(chat, clock) == 2
    assert [entry.kind for entry in robots.received] == ["wecom", "wecom"]


def test_a_muted_robot_without_a_next_channel_waits_and_refuses_a_test(
    jia: Customer, lin: User, robots: Robots, clock: Clock
) -> None:
    channel = make_dingtalk(robots, jia)
    robots.fail_next(Fault.ERRCODE, 130101)
    say(jia, now=clock())
    for _ in range(2):
        drain(channel, clock)
    assert states(channel) == ["pending"]
    with scope.customer(jia), pytest.raises(DomainError) as refusal:
        channels.send_test(channel=channel, actor=lin, now=clock())
    assert refusal.value.code == "budget_spent"
    clock.advance(minutes=9, seconds=59)
    assert drain(channel, clock) == 0
    clock.advance(seconds=1)
    assert drain(channel, clock) == 1
    assert states(channel) == ["delivered"]


def test_a_person_may_end_a_mute_early(jia: Customer, lin: User, robots: Robots, clock: Clock) -> None:
    channel = make_dingtalk(robots, jia)
    robots.fail_next(Fault.ERRCODE, 130101)
    say(jia)
    drain(channel, clock)
    drain(channel, clock)
    with scope.customer(jia):
        channels.unmute(channel=channel, actor=lin, now=clock())
    assert drain(channel, clock) == 1


@pytest.mark.parametrize("url", ["https://127.0.0.1/hook", "https://169.254.169.254/", "http://example.com/"])
def test_a_webhook_into_our_own_network_shows_the_refusal(jia: Customer, lin: User, url: str) -> None:
    channel = make_channel(jia, Channel.Kind.WEBHOOK, {"url": url, "secret": "s" * 16})
    with scope.customer(jia):
        attempt = channels.send_test(channel=channel, actor=lin, now=timezone.now())
    assert (attempt.verdict, attempt.code) == ("refused", "not sent")


def test_a_failed_test_falls_back_on_nothing_and_alarms_nobody(jia: Customer, lin: User, robots: Robots) -> None:
    chat = make_wecom(robots, jia, is_standby=True)
    ding = make_dingtalk(robots, jia, fallback=chat)
    robots.book.dingtalk.clear()
    with scope.customer(jia):
        channels.send_test(channel=ding, actor=lin, now=timezone.now())
    assert (states(ding), states(chat)) == (["failed"], [])
    with scope.platform("test"):
        assert not Delivery.objects.exclude(topic=Topic.TEST).exists()


@pytest.mark.parametrize(
    ("who", "codes"),
    [
        ("alice", (200, 200, 200, 302)),
        ("bob", (200, 200, 403, 403)),
        ("vera", (403, 403, 403, 403)),
        ("eve", (200, 404, 404, 404)),
        ("chen", (200, 200, 200, 302)),
    ],
)
def test_who_sees_and_who_changes_a_channel(
    channel_of_jia: Channel, client_for: ClientFor, request: pytest.FixtureRequest, who: str, codes: tuple[int, ...]
) -> None:
    browser = client_for(request.getfixturevalue(who))
    address = f"/notify/channels/{channel_of_jia.pk}/"
    pages = [browser.get(path).status_code for path in ("/notify/channels/", address, f"{address}edit/")]
    assert (*pages, browser.post(f"{address}test/").status_code) == codes


def test_the_providers_own_channels_are_its_managers_affair(
    alice: User, chen: User, lin: User, robots: Robots, client_for: ClientFor
) -> None:
    ours = make_dingtalk(robots, None)
    address = f"/notify/channels/{ours.pk}/"
    assert [client_for(person).get(address).status_code for person in (alice, chen, lin)] == [404, 404, 200]
    add = "/notify/channels/new/?kind=email&customer=provider"
    pages = [client_for(person).get(add).content.decode() for person in (chen, lin)]
    assert ['name="recipients"' in page for page in pages] == [False, True]


def test_a_project_manager_makes_channels_of_their_own_customer_whatever_the_address_says(
    jia: Customer, yi: Customer, alice: User, client_for: ClientFor
) -> None:
    said = FORM | {"recipients": "ops@jia.example"}
    client_for(alice).post(f"/notify/channels/new/?kind=email&customer={yi.pk}", said)
    assert _only_channel().customer_id == jia.pk


def test_a_customer_sees_the_log_of_its_own_channels_only(
    jia: Customer, yi: Customer, alice: User, robots: Robots, client_for: ClientFor
) -> None:
    make_dingtalk(robots, jia, "j")
    make_dingtalk(robots, yi, "y")
    make_dingtalk(robots, None, "ours")
    say(jia, "a", subject="disk of jia full")
    say(yi, "b", subject="disk of yi full")
    page = client_for(alice).get("/notify/deliveries/").content.decode()
    assert page.count("disk of jia full") == 1
    assert "disk of yi full" not in page


def test_the_log_is_filtered_and_exported(
    jia: Customer, lin: User, robots: Robots, clock: Clock, client_for: ClientFor
) -> None:
    channel = make_dingtalk(robots, jia)
    say(jia, "a", subject="first")
    drain(channel, clock)
    say(jia, "b", subject="=cmd|zweite")
    browser = client_for(lin)
    page = browser.get("/notify/deliveries/?state=delivered").content.decode()
    assert "first" in page
    assert "zweite" not in page
    export = browser.get("/notify/deliveries/?export=csv&q=zweite").content.decode()
    assert "'=cmd|zweite" in export
    assert "first" not in export


def test_the_bell_counts_and_opening_reads(jia: Customer, alice: User, bob: User, client_for: ClientFor) -> None:
    with scope.customer(jia):
        [told] = tell(user=alice, key="k", message=message(), now=NOW)
    mine, other = client_for(alice), client_for(bob)
    assert ">1<" in mine.get("/notify/inbox/badge/").content.decode()
    assert other.post(f"/notify/inbox/{told.pk}/open/").status_code == 404
    reply = mine.post(f"/notify/inbox/{told.pk}/open/")
    assert reply.headers["Location"] == "/incidents/7/"
    assert mine.get("/notify/inbox/badge/").content.decode().strip() == ""
    assert other.get("/notify/inbox/").content.decode().count("web-1 is down") == 0


def test_preferences_are_kept(alice: User, client_for: ClientFor) -> None:
    browser = client_for(alice)
    browser.post("/notify/preferences/", {"email_topics": ["sla"], "email_min_severity": "2"})
    page = browser.get("/notify/preferences/").content.decode()
    assert page.count("checked") == 1
