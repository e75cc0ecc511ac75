"""Web Push: encrypted for the browser, signed by us, to every device of a person; those that are gone are forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import LazySettings

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, Severity, User
from demo.push import Browser, PushService, decoded, decrypt
from notify.channels import push
from notify.models import Delivery, PushDevice
from notify.services import Message, devices, tell
from notify.services.inbox import set_preference
from tests.conftest import NOW, ClientFor
from tests.notify.conftest import Clock
from tests.notify.telephone import fate, work

pytestmark = pytest.mark.django_db


@pytest.fixture
def service(clock: Clock, settings: LazySettings) -> Iterator[PushService]:
    with PushService(clock=clock.seconds) as running:
        settings.NOTIFY_ALLOWED_HOSTS = [running.host]
        yield running


def subscribe(service: PushService, person: User) -> Browser:
    browser = service.subscribe(devices.application_key(NOW))
    devices.add(person=person, device=push.Device(**browser.subscription), name="Chrome · Windows", now=NOW)
    return browser


def push_to(
    person: User, customer: Customer, clock: Clock, key: str = "incident:7:x", **said: object
) -> list[Delivery]:
    message = Message(
        **{
            "topic": "incident",
            "subject": "订单无法支付",
            "text": "**INC-000007** web-01 [打开](/incidents/7/)",
            "url": "/incidents/7/",
            "severity": Severity.HIGH,
            "about": "incident:7",
            **said,
        }  # type: ignore[arg-type]
    )
    with scope.customer(customer):
        return tell(user=person, key=key, message=message, now=clock(), channels=("push",), customer=customer)


def test_the_example_of_rfc_8291_is_read() -> None:
    """Appendix A: the endpoint of these tests decrypts what the standard says it must."""
    private = ec.derive_private_key(
        int.from_bytes(decoded("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), "big"), ec.SECP256R1()
    )
    body = decoded(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A"
        "_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    assert decrypt(body, private, decoded("BTBZMqHH6r4Tts7J_aSIgg")) == b"When I grow up, I want to be a watermelon"


def test_a_browser_reads_what_it_is_sent_and_knows_where_a_click_leads(
    jia: Customer, alice: User, service: PushService, clock: Clock
) -> None:
    browser = subscribe(service, alice)
    push_to(alice, jia, clock)
    assert work("push", clock) == 1
    assert browser.shown == [
        {
            "title": "[严重] 订单无法支付",
            "body": "INC-000007 web-01 打开",
            "url": "http://testserver/incidents/7/",
            "tag": "incident:7",
            "urgent": True,
        }
    ]
    assert browser.headers[0]["urgency"] == "high"
    assert fate(alice, "push") == [("delivered", "http 201")]


def test_every_device_is_reached_and_one_is_enough(
    jia: Customer, alice: User, service: PushService, clock: Clock
) -> None:
    phone, laptop = subscribe(service, alice), subscribe(service, alice)
    phone.is_gone = True
    push_to(alice, jia, clock)
    work("push", clock)
    assert len(laptop.shown) == 1
    assert fate(alice, "push") == [("delivered", "http 201")]
    assert [device.endpoint for device in devices.devices_of(alice)] == [laptop.endpoint]


def test_when_all_devices_are_gone_the_message_failed_and_the_next_is_skipped(
    jia: Customer, alice: User, service: PushService, clock: Clock
) -> None:
    subscribe(service, alice).is_gone = True
    push_to(alice, jia, clock)
    work("push", clock)
    push_to(alice, jia, clock, key="incident:8:x")
    assert fate(alice, "push") == [("failed", "gone"), ("skipped", "no device")]


def test_a_service_in_trouble_is_tried_again_with_the_same_topic(
    jia: Customer, alice: User, service: PushService, clock: Clock
) -> None:
    browser = subscribe(service, alice)
    service.answers = [(503, {}), (429, {"Retry-After": "120"})]
    [made] = push_to(alice, jia, clock)
    work("push", clock)
    clock.advance(seconds=6)
    work("push", clock)
    assert fate(alice, "push") == [("pending", "http 429")]
    clock.advance(seconds=100)
    assert work("push", clock) == 0
    clock.advance(seconds=21)
    work("push", clock)
    assert fate(alice, "push") == [("delivered", "http 201")]
    assert browser.headers[0]["topic"] == f"d{made.pk}"


def test_a_long_message_still_fits(jia: Customer, alice: User, service: PushService, clock: Clock) -> None:
    browser = subscribe(service, alice)
    push_to(alice, jia, clock, subject="长" * 300, text="文" * 9000)
    work("push", clock)
    assert len(browser.shown) == 1


def test_push_obeys_what_people_chose_but_for_a_disaster(
    jia: Customer, alice: User, service: PushService, clock: Clock
) -> None:
    subscribe(service, alice)
    set_preference(
        person=alice, email_topics=[], email_min_severity=None, push_topics=["incident"], push_min_severity=2
    )
    assert push_to(alice, jia, clock, key="a", severity=Severity.AVERAGE) == []
    assert push_to(alice, jia, clock, key="b", topic="sla") == []
    assert len(push_to(alice, jia, clock, key="c")) == 1
    assert len(push_to(alice, jia, clock, key="d", topic="sla", severity=Severity.DISASTER)) == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"endpoint": "javascript:alert(1)"},
        {"endpoint": "https://"},
        {"p256dh": "AAAA"},
        {"p256dh": "B" * 87},
        {"auth": "short"},
        {"auth": "不是密钥"},
    ],
)
def test_what_is_no_subscription_is_refused(alice: User, service: PushService, broken: dict[str, str]) -> None:
    subscription = service.subscribe("key").subscription | broken
    with pytest.raises(DomainError):
        devices.add(person=alice, device=push.Device(**subscription), name="x", now=NOW)
    assert devices.devices_of(alice) == []


def test_a_push_goes_to_no_address_inside_our_own_network(
    jia: Customer, alice: User, service: PushService, clock: Clock, settings: LazySettings
) -> None:
    browser = subscribe(service, alice)
    settings.NOTIFY_ALLOWED_HOSTS = []
    push_to(alice, jia, clock)
    work("push", clock)
    assert browser.shown == []
    assert fate(alice, "push")[0][0] == "failed"


def test_a_browser_changes_hands_with_whoever_signs_in(alice: User, bob: User, service: PushService) -> None:
    browser = subscribe(service, alice)
    devices.add(person=bob, device=push.Device(**browser.subscription), name="shared", now=NOW)
    assert devices.devices_of(alice) == []
    assert len(devices.devices_of(bob)) == 1


def test_people_add_try_and_remove_their_own_devices(
    alice: User, bob: User, vera: User, service: PushService, client_for: ClientFor, clock: Clock
) -> None:
    browser = service.subscribe(devices.application_key(NOW))
    page = client_for(vera)  # a read-only user has a telephone, too
    assert page.post("/notify/devices/key/").json() == {"key": browser.application_key}
    agent = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"
    assert page.post("/notify/devices/", browser.subscription, headers={"user-agent": agent}).status_code == 302
    shown = page.get("/notify/devices/").content.decode()
    assert "Chrome · Android" in shown
    assert browser.endpoint not in shown
    assert page.post("/notify/devices/test/").status_code == 302
    [device] = devices.devices_of(vera)
    assert client_for(bob).post(f"/notify/devices/{device.pk}/remove/").status_code == 404
    assert page.post(f"/notify/devices/{device.pk}/remove/").status_code == 302
    assert devices.devices_of(vera) == []


def test_the_private_key_lies_in_the_vault_alone(alice: User, service: PushService) -> None:
    subscribe(service, alice)
    with scope.customer(alice.customer_id or 0):
        assert not PushDevice.objects.exclude(user=alice).exists()
    assert devices.application_key(NOW) == devices.application_key(NOW)
    assert len(decoded(devices.application_key(NOW))) == 65
