"""Alerts about what happened, opened and closed by whoever knows: never by silence or a rule that is not there."""

import pytest

from accounts import scope
from accounts.models import Customer, Severity
from assets.models import Asset
from incidents.models import Incident
from monitoring.models import Alert
from monitoring.services import alerts as service
from monitoring.services import silence
from tests.monitoring.samples import alerts, minute, server


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


def happen(customer: Customer, asset: Asset, key: str = "reboot-1", at: float = 1) -> Alert:
    with scope.customer(customer):
        return service.open_event(
            customer=customer,
            asset=asset,
            rule_id="cloud-event",
            severity=Severity.HIGH,
            title="系统故障重启",
            text="i-1 因系统错误重启",
            key=key,
            occurred_at=minute(at),
            now=minute(at + 1),
            titles={"zh": "系统故障重启", "en": "Restarted after a system failure"},
        )


def test_an_event_opens_one_alert_and_its_incident(jia: Customer, web: Asset) -> None:
    first, again = happen(jia, web), happen(jia, web)
    assert first.pk == again.pk
    with scope.customer(jia):
        assert Incident.objects.get().pk == alerts(jia)[0].incident_id


def test_the_same_key_of_another_customer_is_another_event(jia: Customer, yi: Customer, web: Asset) -> None:
    happen(jia, web)
    happen(yi, server(yi))
    assert len(alerts(jia)) == len(alerts(yi)) == 1


def test_no_sweep_ends_an_event(jia: Customer, web: Asset) -> None:
    happen(jia, web)
    with scope.customer(jia):
        silence.sweep(customer=jia, now=minute(600))
    assert alerts(jia)[0].is_open


def test_it_ends_when_whoever_opened_it_says_so(jia: Customer, web: Asset) -> None:
    happen(jia, web)
    with scope.customer(jia):
        service.close_event(customer=jia, key="reboot-1", now=minute(9))
        assert service.close_event(customer=jia, key="reboot-1", now=minute(10)) is None
    (alert,) = alerts(jia)
    assert (alert.recovered_at, alert.ending) == (minute(9), Alert.Ending.PASSED)


def test_an_unknown_kind_of_alert_is_a_mistake_in_the_program(jia: Customer, web: Asset) -> None:
    with scope.customer(jia), pytest.raises(ValueError, match="extra_rules"):
        service.open_event(
            customer=jia, asset=web, rule_id="no-such", severity=Severity.HIGH, title="x", text="", key="k",
            occurred_at=minute(0), now=minute(0),
        )  # fmt: skip
