"""Alerts and silences as people and machines use them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from incidents.models import Incident
from monitoring.models import Alert, Silence
from tests.conftest import ClientFor
from tests.monitoring.samples import alerts, feed, server

LIST = "/monitoring/alerts/"
JSON = "application/json"


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


@pytest.fixture
def alert(jia: Customer, web: Asset) -> Alert:
    feed(jia, web, "host.cpu.util", [20, 95, 96, 97])
    return alerts(jia)[0]


def one(alert: Alert) -> Alert:
    with scope.customer(alert.customer_id):
        return Alert.objects.get(pk=alert.pk)


def set_state(alert: Alert, **values: object) -> None:
    with scope.customer(alert.customer_id):
        Alert.objects.filter(pk=alert.pk).update(**values)


def test_the_ticked_alerts_are_acknowledged_and_the_filter_stays(
    alert: Alert, jia: Customer, yi: Customer, chen: User, client_for: ClientFor
) -> None:
    feed(yi, server(yi), "host.cpu.util", [95, 95, 95])
    other = alerts(yi)[0]
    answer = client_for(chen).post(
        f"{LIST}acknowledge/",
        {"alert": [alert.pk, other.pk, "x"], "comment": "on it", "minutes": "60", "next": f"{LIST}?state=loud"},
    )
    assert (answer.status_code, answer["Location"]) == (302, f"{LIST}?state=loud")
    for each in (alert, other):
        taken = one(each)
        assert (taken.acknowledged_by_id, taken.ack_comment) == (chen.pk, "on it")
        assert taken.ack_until is not None


def test_nobody_is_sent_to_another_site(alert: Alert, chen: User, client_for: ClientFor) -> None:
    answer = client_for(chen).post(f"{LIST}acknowledge/", {"alert": alert.pk, "next": "//evil.example/monitoring/"})
    assert answer["Location"] == LIST


def test_the_ticked_alerts_are_silenced(alert: Alert, jia: Customer, chen: User, client_for: ClientFor) -> None:
    client_for(chen).post(f"{LIST}silence/", {"alert": alert.pk, "reason": "patching", "length": "60"})
    with scope.customer(jia):
        silence = Silence.objects.get()
        assert (silence.asset_ids, silence.rule_ids) == ([alert.asset_id], ["host-cpu-util"])
    assert one(alert).held == "silenced"


@pytest.mark.parametrize("verb", ["acknowledge", "silence"])
def test_a_customers_own_people_look_and_do_not_touch(
    alert: Alert, alice: User, client_for: ClientFor, verb: str
) -> None:
    browser = client_for(alice)
    assert browser.post(f"{LIST}{verb}/", {"alert": alert.pk, "reason": "x", "length": "60"}).status_code == 403
    page = browser.get(LIST).content.decode()
    assert "data-pick" not in page
    assert browser.get("/monitoring/silences/").status_code == 200
    assert browser.get("/monitoring/silences/new/").status_code == 403


@pytest.mark.parametrize(
    ("state", "values"),
    [
        ("silenced", {"held": "silenced"}),
        ("inhibited", {"held": "inhibited"}),
        ("flapping", {"flapping_since": timezone.now()}),
        ("stale", {"stale_since": timezone.now()}),
        ("acknowledged", {"acknowledged_at": timezone.now()}),
        ("recovered", {"recovered_at": timezone.now(), "ending": "recovered"}),
        ("ended", {"recovered_at": timezone.now(), "ending": "rule_off"}),
    ],
)
def test_each_state_has_its_filter(
    alert: Alert, chen: User, client_for: ClientFor, state: str, values: dict[str, object]
) -> None:
    browser, link = client_for(chen), f'data-href="{LIST}{alert.pk}/"'
    assert link not in browser.get(f"{LIST}?state={state}").content.decode()
    set_state(alert, **values)
    assert link in browser.get(f"{LIST}?state={state}").content.decode()


def test_what_ended_without_good_figures_is_not_shown_as_recovered(
    alert: Alert, chen: User, client_for: ClientFor
) -> None:
    set_state(alert, recovered_at=timezone.now(), ending="rule_off")
    page = client_for(chen).get(f"{LIST}?state=ended").content.decode()
    assert "bg-green-lt" not in page


def test_titles_are_in_the_readers_language(alert: Alert, chen: User, alice: User, client_for: ClientFor) -> None:
    def page(person: User, language: str) -> str:
        with scope.platform("a reader"):
            User.objects.filter(pk=person.pk).update(language=language)
            person.refresh_from_db()
        return client_for(person).get(f"{LIST}{alert.pk}/").content.decode()

    assert "主机 CPU 使用率大于 90%" in page(chen, "zh-hans")
    assert "Host CPU utilization over 90%" in page(alice, "en")


def test_the_page_of_an_alert_tells_its_life(alert: Alert, jia: Customer, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    browser.post(f"{LIST}silence/", {"alert": alert.pk, "reason": "patching the kernel", "length": "60"})
    browser.post(f"{LIST}acknowledge/", {"alert": alert.pk, "comment": "mine", "minutes": ""})
    page = browser.get(f"{LIST}{alert.pk}/").content.decode()
    for text in ("patching the kernel", "Chen", "mine"):
        assert text in page
    browser.post(f"{LIST}{alert.pk}/withdraw/")
    assert not one(alert).is_acknowledged


# --- silences --------------------------------------------------------------------------------------------------------


def form(**values: object) -> dict[str, object]:
    now = timezone.localtime()
    return {
        "reason": "patching", "timezone": "Asia/Shanghai", "from_1": f"{now:%Y-%m-%dT%H:%M}",
        "to_1": f"{now + timedelta(hours=2):%Y-%m-%dT%H:%M}", **values,
    }  # fmt: skip


def test_a_silence_is_looked_at_first_then_made_ended_and_taken_back(
    alert: Alert, jia: Customer, web: Asset, chen: User, client_for: ClientFor
) -> None:
    browser, address = client_for(chen), f"/monitoring/silences/new/?customer={jia.pk}"
    page = browser.post(address, form(assets=[web.pk], preview="1")).content.decode()
    assert "web-01" in page
    with scope.customer(jia):
        assert not Silence.objects.exists()
    made = browser.post(address, form(assets=[web.pk], rules=["host-cpu-util"], labels="mountpoint=/data"))
    with scope.customer(jia):
        silence = Silence.objects.get()
        assert (made["Location"], silence.labels) == (f"/monitoring/silences/{silence.pk}/", {"mountpoint": "/data"})
    for verb, is_over in (("end", True), ("resume", False)):
        browser.post(f"/monitoring/silences/{silence.pk}/{verb}/")
        with scope.customer(jia):
            silence.refresh_from_db()
        assert (silence.ended_at is not None) is is_over
    assert "patching" in browser.get(f"/monitoring/silences/{silence.pk}/").content.decode()
    assert "quiet-span" in browser.get("/monitoring/silences/").content.decode()


def test_hours_of_the_week_are_read(jia: Customer, chen: User, client_for: ClientFor) -> None:
    weekly = form(from_1="", to_1="", days=["5", "6"], week_from="22:00", week_to="06:00")
    assert client_for(chen).post(f"/monitoring/silences/new/?customer={jia.pk}", weekly).status_code == 302
    with scope.customer(jia):
        assert Silence.objects.get().windows == [{"days": [5, 6], "from": "22:00", "to": "06:00"}]


@pytest.mark.parametrize(
    "values",
    [
        {"reason": ""},
        {"from_1": "", "to_1": ""},
        {"to_1": "2020-01-01T00:00"},
        {"days": ["5"], "week_from": "", "week_to": "06:00"},
        {"labels": "mountpoint"},
    ],
)
def test_a_silence_that_cannot_be_is_explained_and_not_made(
    jia: Customer, chen: User, client_for: ClientFor, values: dict[str, object]
) -> None:
    answer = client_for(chen).post(f"/monitoring/silences/new/?customer={jia.pk}", form(**values))
    assert answer.status_code == 422
    with scope.customer(jia):
        assert not Silence.objects.exists()


def test_another_customers_silence_does_not_exist(jia: Customer, chen: User, eve: User, client_for: ClientFor) -> None:
    client_for(chen).post(f"/monitoring/silences/new/?customer={jia.pk}", form())
    with scope.customer(jia):
        silence = Silence.objects.get()
    browser = client_for(eve)
    assert browser.get(f"/monitoring/silences/{silence.pk}/").status_code == 404
    assert browser.get(f"/api/v1/silences/{silence.pk}/").status_code == 404
    assert browser.get("/api/v1/silences/").json()["results"] == []


# --- machines --------------------------------------------------------------------------------------------------------


def test_machines_acknowledge_and_take_back(alert: Alert, jia: Customer, chen: User, client_for: ClientFor) -> None:
    browser, until = client_for(chen), timezone.now() + timedelta(hours=1)
    answer = browser.post(
        f"/api/v1/alerts/{alert.pk}/acknowledge/", {"comment": "bot", "until": until.isoformat()}, content_type=JSON
    )
    assert (answer.status_code, answer.json()["acknowledged_by"]) == (200, chen.pk)
    with scope.customer(jia):
        assert Incident.objects.get().acknowledged_at is not None
    assert [row["id"] for row in browser.get("/api/v1/alerts/?acknowledged=true").json()["results"]] == [alert.pk]
    assert browser.post(f"/api/v1/alerts/{alert.pk}/withdraw/").json()["ack_expired_at"]
    assert browser.get("/api/v1/alerts/?acknowledged=true").json()["results"] == []


def test_machines_silence_and_end(alert: Alert, jia: Customer, chen: User, client_for: ClientFor) -> None:
    browser, now = client_for(chen), timezone.now()
    said = {
        "customer": jia.pk, "reason": "deploy", "asset_ids": [alert.asset_id],
        "windows": [{"from": now.isoformat(), "to": (now + timedelta(hours=1)).isoformat()}],
    }  # fmt: skip
    made = browser.post("/api/v1/silences/", said, content_type=JSON)
    assert made.status_code == 201
    assert one(alert).held == "silenced"
    assert browser.post(f"/api/v1/silences/{made.json()['id']}/end/").json()["ended_by"] == chen.pk
    assert one(alert).held == ""


def test_windows_that_cannot_be_are_a_bad_request(jia: Customer, chen: User, client_for: ClientFor) -> None:
    wrong: list[list[dict[str, object]]] = [
        [{}],
        [{"from": "x", "to": "y"}],
        [{"days": [9], "from": "22:00", "to": "06:00"}],
        [],
    ]
    for windows in wrong:
        said = {"customer": jia.pk, "reason": "deploy", "windows": windows}
        assert client_for(chen).post("/api/v1/silences/", said, content_type=JSON).status_code == 400


@pytest.mark.parametrize("path", ["alerts/{pk}/acknowledge/", "silences/"])
def test_a_customers_machines_may_only_read(alert: Alert, alice: User, client_for: ClientFor, path: str) -> None:
    answer = client_for(alice).post(f"/api/v1/{path.format(pk=alert.pk)}", {}, content_type=JSON)
    assert answer.status_code == 403
