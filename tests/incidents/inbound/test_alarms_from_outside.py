"""Alarms of other people's monitoring: opened, joined, ended, once; and whatever else may come to the door."""

import json
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import scope
from accounts.models import Customer, Severity, User
from assets.models import Asset
from incidents import services
from incidents.models import InboundMessage, IncidentAlert, TimelineEntry
from incidents.services import inbound, inbound_alarms, sources
from tests.conftest import NOW
from tests.incidents.conftest import make_asset
from tests.incidents.inbound.conftest import incidents, messages, only_incident, open_door

pytestmark = pytest.mark.django_db

Verdict = InboundMessage.Verdict
AT = "2026-03-02T01:59:00.000Z"
NEVER = "0001-01-01T00:00:00Z"


def alert(status: str = "firing", *, fingerprint: str = "f1", ends: str = NEVER, **labels: str) -> dict[str, object]:
    return {
        "status": status,
        "labels": {"alertname": "HighLoad", "instance": "web-01:9100", "severity": "critical"} | labels,
        "annotations": {"summary": "Load of web-01 is high", "description": "load15 is 42"},
        "startsAt": AT,
        "endsAt": ends,
        "generatorURL": "http://prometheus:9090/graph?g0.expr=node_load15",
        "fingerprint": fingerprint,
    }


def group(*alerts: dict[str, object], **more: object) -> dict[str, object]:
    return {
        "version": "4",
        "groupKey": '{}:{alertname="HighLoad"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "rdmp",
        "groupLabels": {"alertname": "HighLoad"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts),
    } | more


def open_alerts() -> int:
    with scope.platform("test"):
        return IncidentAlert.objects.filter(recovered_at=None).count()


def test_an_alertmanager_group_opens_one_incident_on_the_asset_that_it_names(jia: Customer, web: Asset) -> None:
    door = open_door("alertmanager", jia)
    answer = door.send(group(alert(), alert(fingerprint="f2", alertname="Swap", severity="warning")))
    assert answer.status_code == 200, answer.content
    incident = only_incident()
    assert (incident.customer, incident.storm_asset_id, incident.severity) == (jia, web.pk, Severity.DISASTER)
    assert incident.title == "Load of web-01 is high"
    assert "load15 is 42" in incident.description
    assert "our alertmanager" in incident.description
    assert incident.detected_at == NOW - timedelta(minutes=1)
    assert incident.clock_started_at == NOW
    assert open_alerts() == 2
    (message,) = messages()
    assert (message.verdict, message.incident, message.customer) == (Verdict.ALARMS, incident, jia)
    assert answer.json()["incidents"] == [incident.number]


def test_the_same_group_again_and_a_hundred_times_changes_nothing(jia: Customer, web: Asset) -> None:
    door = open_door("alertmanager", jia)
    for _ in range(5):
        assert door.send(group(alert())).status_code == 200
    assert open_alerts() == 1
    assert len(incidents()) == 1
    assert len(messages()) == 5


def test_resolved_is_written_on_the_same_incident_which_stays_open(jia: Customer, web: Asset) -> None:
    door = open_door("alertmanager", jia)
    door.send(group(alert(), alert(fingerprint="f2")))
    with time_machine.travel(NOW + timedelta(minutes=9), tick=False):
        door.send(group(alert("resolved", ends="2026-03-02T02:08:00Z"), alert(fingerprint="f2")))
    incident = only_incident()
    assert incident.is_unsolved
    with scope.customer(jia):
        ended = incident.alerts.get(recovered_at__isnull=False)
        assert ended.recovered_at == NOW + timedelta(minutes=8)
        assert TimelineEntry.objects.filter(incident=incident, kind="recovery").count() == 1
    assert open_alerts() == 1


def test_an_end_that_nobody_knows_opens_nothing(jia: Customer) -> None:
    door = open_door("alertmanager", jia)
    assert door.send(group(alert("resolved", ends="2026-03-02T02:00:00Z"))).json()["unknown_ends"] == 1
    assert incidents() == []
    assert messages()[0].verdict == Verdict.IGNORED


def test_what_names_no_asset_gathers_on_the_stand_in_of_its_way_in(jia: Customer) -> None:
    door = open_door("alertmanager", jia)
    door.send(group(alert(instance="unknown-7:9100")))
    door.send(group(alert(instance="unknown-8:9100", fingerprint="f8")))
    incident = only_incident()
    with scope.customer(jia):
        assert Asset.objects.get(pk=incident.storm_asset_id or 0).name == f"our alertmanager #{door.source.pk}"
        assert "unknown-7" in incident.description


def test_a_name_that_two_assets_share_means_neither(jia: Customer, web: Asset) -> None:
    with scope.customer(jia):
        Asset.objects.create(customer=jia, kind="url", name="web-01", created_at=NOW, changed_at=NOW)
    open_door("alertmanager", jia).send(group(alert()))
    assert only_incident().storm_asset_id != web.pk


def test_an_asset_of_another_customer_is_never_meant(jia: Customer, yi: Customer) -> None:
    theirs = make_asset(yi)
    open_door("alertmanager", jia).send(group(alert()))
    incident = only_incident()
    assert incident.customer == jia
    assert incident.storm_asset_id != theirs.pk


def test_the_assets_address_is_a_name_too(jia: Customer, web: Asset) -> None:
    with scope.customer(jia):
        Asset.objects.filter(pk=web.pk).update(name="shop", private_ip="10.0.0.7")
    open_door("alertmanager", jia).send(group(alert(instance="10.0.0.7:9100")))
    assert only_incident().storm_asset_id == web.pk


def test_a_table_of_the_way_in_says_what_its_words_for_severity_mean(jia: Customer, web: Asset) -> None:
    door = open_door("alertmanager", jia, severities={"critical": 2, "purple": 4})
    door.send(group(alert()))
    assert only_incident().severity == Severity.HIGH


def test_the_providers_own_way_in_tells_customers_apart_by_a_label(jia: Customer, yi: Customer, web: Asset) -> None:
    door = open_door("alertmanager", None)
    door.send(group(alert(customer="jia"), alert(fingerprint="f2", customer="乙酉物流有限公司")))
    assert [incident.customer for incident in incidents()] == [jia, yi]


def test_without_a_customer_it_waits_for_a_person_and_is_not_lost(jia: Customer) -> None:
    open_door("alertmanager", None).send(group(alert(customer="nobody")))
    (message,) = messages()
    assert (message.verdict, message.reason, incidents()) == (Verdict.HELD, "no_customer", [])


def test_grafana_speaks_the_same_language(jia: Customer, web: Asset) -> None:
    body = group(alert(), version="1", orgId=1, title="[FIRING:1] HighLoad", state="alerting", message="**Firing**")
    body["alerts"][0]["valueString"] = "[ var='B' labels={instance=web-01} value=42 ]"  # type: ignore[index]
    open_door("grafana", jia).send(body)
    assert "value=42" in only_incident().description


CMS_FORM = {
    "alertName": "CPU 使用率过高",
    "alertState": "ALERT",
    "curValue": "97.39",
    "dimensions": "{userId=1270676679546704, instanceId=i-bp1abc}",
    "expression": "$Average>=90",
    "instanceName": "mall-web-1",
    "metricName": "CPUUtilization",
    "metricProject": "acs_ecs_dashboard",
    "namespace": "acs_ecs_dashboard",
    "preTriggerLevel": "INFO",
    "regionId": "cn-hangzhou",
    "regionName": "华东1（杭州）",
    "ruleId": "putNewAlarm_123",
    "timestamp": "1772416740000",
    "triggerLevel": "CRITICAL",
    "userId": "1270676679546704",
}


def test_cloudmonitor_sends_a_form_and_the_instance_id_finds_the_asset(jia: Customer, web: Asset) -> None:
    with scope.customer(jia):
        Asset.objects.filter(pk=web.pk).update(provider_id="i-bp1abc")
    door = open_door("cms", jia)
    form = "application/x-www-form-urlencoded; charset=UTF-8"
    assert door.send(urlencode(CMS_FORM).encode(), content_type=form).status_code == 200
    incident = only_incident()
    assert (incident.storm_asset_id, incident.severity) == (web.pk, Severity.DISASTER)
    assert incident.title == "CPU 使用率过高 mall-web-1"
    assert incident.detected_at == NOW - timedelta(minutes=1)
    door.send(urlencode(CMS_FORM | {"alertState": "OK", "triggerLevel": "null"}).encode(), content_type=form)
    assert open_alerts() == 0


def test_cloudmonitors_older_json_with_lists_is_read_too(jia: Customer) -> None:
    body: dict[str, object] = CMS_FORM | {
        "alertState": "ALARM",
        "dimensions": [{"userId": "1", "instanceId": "i-1"}],
        "expression": '[{"expression":"$Average>90","level":4,"times":2}]',
    }
    door = open_door("cms", jia)
    door.send(body)
    assert open_alerts() == 1
    door.send(body | {"alertState": "OK", "dimensions": json.dumps(body["dimensions"])})
    assert open_alerts() == 0


def test_a_system_event_of_cloudmonitor_opens_and_ends(jia: Customer, web: Asset) -> None:
    body = {
        "product": "ECS",
        "resourceId": "acs:ecs:cn-hangzhou:1270676679546704:instance/i-bp1abc",
        "level": "CRITICAL",
        "instanceName": "web-01",
        "regionId": "cn-hangzhou",
        "name": "Instance:SystemFailure.Reboot",
        "content": {"eventId": "e-1", "eventStatus": "Executing", "executeStartTime": "2026-03-02T01:58Z"},
        "status": "Executing",
        "eventTime": "20260302T095800.000+0800",
    }
    door = open_door("cms", jia)
    door.send(body)
    assert only_incident().storm_asset_id == web.pk
    door.send(body | {"status": "Executed"})
    assert open_alerts() == 0


def test_zabbix_sends_what_the_documented_script_sends(jia: Customer, web: Asset) -> None:
    body = {
        "event_id": "4711",
        "event_value": "1",
        "event_update_status": "0",
        "severity": "High",
        "name": "Zabbix agent is not available",
        "message": "Problem started at 09:59:00",
        "host": "web-01",
        "host_ip": "10.0.0.7",
        "event_time": "2026.03.02 09:59:00",
        "recovery_time": "{EVENT.RECOVERY.DATE} {EVENT.RECOVERY.TIME}",
        "operational_data": "",
        "trigger_url": "",
    }
    door = open_door("zabbix", jia)
    door.send(body)
    incident = only_incident()
    assert (incident.storm_asset_id, incident.severity) == (web.pk, Severity.HIGH)
    assert incident.detected_at == NOW - timedelta(minutes=1)
    door.send(body | {"event_update_status": "1"})
    assert open_alerts() == 1
    door.send(body | {"event_value": "0", "recovery_time": "2026.03.02 10:00:00"})
    assert open_alerts() == 0


def test_any_json_is_read_by_the_paths_that_were_entered(jia: Customer, web: Asset) -> None:
    door = open_door(
        "generic",
        jia,
        items="$.events[*]",
        paths={
            "title": "$.what",
            "key": "$.id",
            "status": "$.state",
            "severity": "$.rank",
            "asset": "$.where.host",
            "time": "$.at",
        },
        ended=["gone"],
    )
    event = {
        "what": "Disk full",
        "id": 7,
        "state": "there",
        "rank": "严重",
        "where": {"host": "WEB-01"},
        "at": 1772416740,
    }
    assert door.send({"events": [event]}).status_code == 200
    incident = only_incident()
    assert (incident.title, incident.severity, incident.storm_asset_id) == ("Disk full", Severity.HIGH, web.pk)
    door.send({"events": [event | {"state": "gone"}]})
    door.send({"events": [event]})
    door.send({"events": [event | {"state": "gone"}]})
    with scope.customer(jia):
        assert list(incident.alerts.values_list("recovered_at", flat=True)) == [NOW, NOW]


def test_an_incident_that_was_solved_is_not_opened_again_by_a_repeat_but_a_new_one_begins(
    jia: Customer, web: Asset, chen: User
) -> None:
    door = open_door("alertmanager", jia)
    door.send(group(alert()))
    first = only_incident()
    with scope.customer(jia):
        services.resolve(incident=first, resolution="restarted", cause="system", actor=chen, now=NOW)
    door.send(group(alert()))
    assert len(incidents()) == 1, "the alert is still the one of the solved incident"
    door.send(group(alert(fingerprint="f9")))
    assert len(incidents()) == 2


# --- the door --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 100_000, "JSON"),
        (b'{"version":"4"}', "list"),
        (b'{"version":"4","alerts":[1]}', "object"),
        (b'{"version":"4","alerts":[{"status":"burning"}]}', "firing"),
        (b'{"version":"9","alerts":[]}', "version"),
        (json.dumps({"version": "4", "alerts": [{}] * 2001}).encode(), "2000"),
    ],
)
def test_what_is_no_alarm_is_stored_refused_and_said_why(body: bytes, told: str, jia: Customer) -> None:
    answer = open_door("alertmanager", jia).send(body)
    assert answer.status_code == 400
    assert told in answer.json()["detail"]
    (message,) = messages()
    assert message.verdict == Verdict.FAILED
    assert told in message.error
    assert bytes(message.raw) == body


def test_texts_that_a_database_refuses_do_no_harm(jia: Customer) -> None:
    nasty = "a\x00b\ud800c\u202ed"
    body = group(alert(alertname=nasty, fingerprint=nasty, instance=nasty))
    body["alerts"][0]["annotations"] = {"summary": nasty, "description": "x" * 100_000}  # type: ignore[index]
    assert open_door("alertmanager", jia).send(body).status_code == 200
    assert only_incident().title == "abcd"


def test_claims_about_time_are_believed_within_reason(jia: Customer) -> None:
    for number, claim in enumerate(("2031-01-01T00:00:00Z", "1999-01-01T00:00:00Z", "soon", 1e300)):
        body = group(alert(fingerprint=f"t{number}"))
        body["alerts"][0]["startsAt"] = claim  # type: ignore[index]
        assert open_door("alertmanager", jia).send(body).status_code == 200
    with scope.platform("test"):
        assert {each.occurred_at for each in IncidentAlert.objects.all()} == {NOW}


def test_an_unknown_renewed_or_retired_address_is_404_and_nothing_is_stored(jia: Customer, chen: User) -> None:
    door = open_door("alertmanager", jia)
    assert door.client.post("/in/forged/", b"{}", content_type="application/json").status_code == 404
    with scope.user(chen):
        renewed = sources.rotate(source=door.source, actor=chen, now=NOW)
    assert renewed.removeprefix("http://testserver") != door.path
    assert door.send(group(alert())).status_code == 200, "the old address lives another day"
    with time_machine.travel(NOW + timedelta(hours=25), tick=False):
        assert door.send(group(alert())).status_code == 404
        door.path = renewed.removeprefix("http://testserver")
        assert door.send(group(alert())).status_code == 200
        with scope.user(chen):
            sources.retire(source=door.source, actor=chen, now=NOW)
        assert door.send(group(alert())).status_code == 404
    assert len(messages()) == 2


def test_an_address_is_kept_only_as_a_hash(jia: Customer) -> None:
    door = open_door("alertmanager", jia)
    token = door.path.split("/")[2]
    assert len(token) >= 43
    with connection.cursor() as cursor, scope.platform("test"):
        cursor.execute("SELECT row_to_json(s)::text FROM incidents_inboundsource s")
        assert token not in str(cursor.fetchall())


def test_a_body_that_is_too_large_is_413_and_not_stored(jia: Customer) -> None:
    answer = open_door("alertmanager", jia).send(b"x" * (2 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert messages() == []


def test_a_way_in_that_brings_too_much_is_told_to_wait(jia: Customer) -> None:
    door = open_door("alertmanager", jia)
    for _ in range(inbound.PER_MINUTE):
        inbound.allow(door.source, now=NOW)
    answer = door.send(group(alert()))
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")
    assert messages() == []


def test_many_wrong_addresses_from_one_place_are_slowed_down(jia: Customer) -> None:
    door = open_door("alertmanager", jia)
    found = [door.client.get(f"/in/wrong-{number}/").status_code for number in range(70)]
    assert (found[0], found[-1]) == (404, 429)
    assert door.send(group(alert())).status_code == 200


def test_a_get_is_no_alarm(jia: Customer) -> None:
    door = open_door("alertmanager", jia)
    assert door.client.get(door.path).status_code == 405
    assert messages() == []


def test_the_number_of_queries_does_not_grow_with_the_alerts(jia: Customer) -> None:
    door = open_door("alertmanager", jia)
    for number in range(40):
        make_asset(jia, f"h-{number}")

    def cost(start: int, count: int) -> int:
        alerts = [alert(fingerprint=f"q{n}", instance=f"h-{n}:9100") for n in range(start, start + count)]
        with CaptureQueriesContext(connection) as seen:
            assert door.send(group(*alerts)).json()["opened"] == count
        return len(seen)

    cost(0, 2)
    few = cost(2, 4)
    assert cost(6, 30) == few


def test_what_was_stored_and_not_read_is_read_by_the_sweep(jia: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    door = open_door("alertmanager", jia)
    received = inbound.Received(key="k", raw=json.dumps(group(alert())).encode(), content_type="application/json")
    message, _new = inbound.store(source=door.source, received=received, now=NOW)
    asked: list[int] = []
    monkeypatch.setattr("incidents.services.inbound._send_wake_up", asked.append)
    assert inbound.sweep(now=NOW + timedelta(seconds=5)) == 0
    inbound.sweep(now=NOW + timedelta(seconds=20))
    assert asked == [message.pk]
    assert inbound.read(message_id=message.pk, now=NOW).verdict == Verdict.ALARMS
    assert inbound.read(message_id=message.pk, now=NOW).tries == 1


def test_trouble_of_ours_leaves_it_stored_and_after_five_tries_people_see_it(
    jia: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = open_door("alertmanager", jia)
    received = inbound.Received(key="k", raw=json.dumps(group(alert())).encode(), content_type="application/json")
    message, _new = inbound.store(source=door.source, received=received, now=NOW)

    def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("the disk is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(inbound_alarms, "take_in", broken)
        for _ in range(inbound.MOST_TRIES):
            with pytest.raises(RuntimeError):
                inbound.read(message_id=message.pk, now=NOW)
        inbound.sweep(now=NOW + timedelta(minutes=1))
    assert messages()[0].verdict == Verdict.FAILED
    assert incidents() == []


def test_old_bytes_are_forgotten_and_what_was_made_of_them_stays(jia: Customer) -> None:
    open_door("alertmanager", jia).send(group(alert()))
    inbound.forget(now=NOW + timedelta(days=89))
    assert bytes(messages()[0].raw) != b""
    inbound.forget(now=NOW + timedelta(days=91))
    assert bytes(messages()[0].raw) == b""
    assert messages()[0].incident == only_incident()


def test_the_script_in_the_documentation_sends_what_is_read() -> None:
    text = (Path(__file__).parents[3] / "docs" / "ways-in.md").read_text(encoding="utf-8")
    for name in ("event_id", "event_value", "event_update_status", "severity", "host_ip", "recovery_time"):
        assert name in text
