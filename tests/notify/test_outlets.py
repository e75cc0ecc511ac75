"""The provider's account for calls and SMS: entered once, never shown again, tried by a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from accounts import scope, secrets
from accounts.models import AuditEntry, User
from demo.aliyun.cloud import TELEPHONE
from demo.aliyun.server import CloudServer
from notify import outlets
from notify.models import Delivery
from tests.conftest import ClientFor
from tests.notify.conftest import Clock
from tests.notify.telephone import exchange_running, fate, work

pytestmark = pytest.mark.django_db
FORM = {
    "access_key_id": TELEPHONE.access_key_id,
    "access_key_secret": TELEPHONE.access_key_secret,
    "voice_is_on": "on",
    "tts_code": "TTS_100001",
}


@pytest.fixture
def server(clock: Clock, settings: LazySettings) -> Iterator[CloudServer]:
    with exchange_running(clock, settings) as running:
        yield running


def test_the_accesskey_goes_in_and_never_comes_out(root: User, client_for: ClientFor) -> None:
    browser = client_for(root)
    assert browser.post("/notify/outlets/", FORM).status_code == 302
    page = browser.get("/notify/outlets/").content.decode()
    assert TELEPHONE.access_key_id not in page
    assert TELEPHONE.access_key_secret not in page
    with scope.platform("test"):
        assert secrets.is_set(outlets.current(), "access_key_secret")
        assert TELEPHONE.access_key_secret not in str(list(AuditEntry.objects.values_list("detail", flat=True)))
    without_key = {name: value for name, value in FORM.items() if not name.startswith("access")}
    assert browser.post("/notify/outlets/", without_key | {"tts_code": "TTS_2"}).status_code == 302
    assert outlets.current().tts_code == "TTS_2"


@pytest.mark.parametrize(
    "broken",
    [
        {"access_key_secret": ""},
        {"tts_code": ""},
        {"show_number": "ask the desk"},
        {"ivr_start_code": "TTS_3"},
        {"sms_is_on": "on"},
        {"endpoint_override": "javascript:alert(1)"},
        {"endpoint_override": "https://example.com/path"},
    ],
)
def test_what_cannot_work_is_not_saved(root: User, client_for: ClientFor, broken: dict[str, str]) -> None:
    assert client_for(root).post("/notify/outlets/", FORM | broken).status_code == 422
    assert not outlets.current().voice_is_on


def test_a_test_call_rings_whoever_asks_for_it(lin: User, server: CloudServer, client_for: ClientFor) -> None:
    answer = client_for(lin).post("/notify/outlets/test/voice/")
    assert answer.status_code == 302
    with scope.platform("test"):
        made = Delivery.objects.get(user=lin)
    assert answer["Location"] == f"/notify/deliveries/{made.pk}/"
    assert made.address == "13800000000"
    assert client_for(lin).post("/notify/outlets/test/pigeon/").status_code == 404


def test_new_addresses_of_receipts_end_the_old_ones(lin: User, client_for: ClientFor) -> None:
    old = outlets.receipts_token(outlets.current())
    assert client_for(lin).post("/notify/outlets/receipts/").status_code == 302
    assert outlets.receipts_token(outlets.current()) != old


def test_managers_alone_come_here(alice: User, chen: User, client_for: ClientFor) -> None:
    for person in (alice, chen):
        assert client_for(person).get("/notify/outlets/").status_code == 403
        assert client_for(person).post("/notify/outlets/test/voice/").status_code == 403
        assert client_for(person).post("/notify/outlets/receipts/").status_code == 403


def test_requests_go_to_alibaba_cloud_alone(root: User, client_for: ClientFor, clock: Clock) -> None:
    """Another address of the API is only used when the installation allows its host."""
    client_for(root).post("/notify/outlets/", FORM | {"endpoint_override": "https://collects-keys.example"})
    client_for(root).post("/notify/outlets/test/voice/")
    work("voice", clock)
    assert fate(root, "voice") in ([("failed", "not sent")], [("pending", "")])
