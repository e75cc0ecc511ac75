"""Why a deadline was missed: said afterwards, said better, and fixed when the month's report stands (R79)."""

from datetime import datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from incidents import services
from incidents.models import Clock
from incidents.months import Month
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import raise_incident
from tests.incidents.test_deadlines import sweep

MINUTE = timedelta(minutes=1)
STANDS = datetime.fromisoformat("2026-04-10T00:00+08:00")


@pytest.fixture
def missed(jia: Customer, alice: User, chen: User) -> Clock:
    raise_incident(alice, customer=jia)
    sweep(NOW + 15 * MINUTE)
    with scope.customer(jia):
        return Clock.objects.select_related("incident").get(kind="response")


def test_a_reason_has_a_code_and_words_and_each_version_is_in_the_audit(
    missed: Clock, jia: Customer, chen: User
) -> None:
    with scope.customer(jia):
        assert Clock.objects.unexplained().exists()
        services.explain(clock=missed, code="handover", note="Lost at eight", actor=chen, now=NOW + 20 * MINUTE)
        services.explain(clock=missed, code="workload", note="Five at once", actor=chen, now=STANDS - MINUTE)
        assert not Clock.objects.unexplained().exists()
        missed.refresh_from_db()
        assert (missed.breach_code, missed.breach_note, missed.explained_by) == ("workload", "Five at once", chen)
        details = [entry.detail for entry in AuditEntry.objects.filter(action="incident.explain").order_by("pk")]
    assert [detail["before"]["code"] for detail in details] == ["", "handover"]
    assert [detail["after"]["note"] for detail in details] == ["Lost at eight", "Five at once"]


def test_the_reason_stands_with_the_months_report(missed: Clock, jia: Customer, chen: User) -> None:
    with scope.customer(jia), pytest.raises(DomainError) as refusal:
        services.explain(clock=missed, code="workload", note="Too late", actor=chen, now=STANDS)
    assert refusal.value.code == "frozen"


@pytest.mark.parametrize(("code", "note"), [("", "x"), ("weather", "x"), ("other", "  ")])
def test_half_a_reason_is_none(missed: Clock, jia: Customer, chen: User, code: str, note: str) -> None:
    with scope.customer(jia):
        with pytest.raises(DomainError):
            services.explain(clock=missed, code=code, note=note, actor=chen, now=NOW)
        assert Clock.objects.unexplained().exists()


def test_what_was_kept_needs_no_reason(jia: Customer, alice: User, chen: User) -> None:
    incident = raise_incident(alice, customer=jia)
    with scope.customer(jia):
        clock = Clock.objects.select_related("incident").get(incident=incident, kind="response")
        with pytest.raises(DomainError):
            services.explain(clock=clock, code="other", note="x", actor=chen, now=NOW)


def test_the_customer_reads_reasons_and_gives_none(
    missed: Clock, jia: Customer, alice: User, chen: User, eve: User, client_for: ClientFor
) -> None:
    address = f"/incidents/{missed.incident_id}/clocks/{missed.pk}/reason/"
    with scope.customer(jia), pytest.raises(PermissionDenied):
        services.explain(clock=missed, code="other", note="x", actor=alice, now=NOW)
    assert client_for(alice).get(address).status_code == 403
    assert client_for(eve).get(address).status_code == 404
    assert address in client_for(chen).get(f"/incidents/{missed.incident_id}/").content.decode()


def test_the_form_says_what_is_missing_and_keeps_what_was_written(
    jia: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    now = datetime.now(tz=NOW.tzinfo)
    raise_incident(alice, customer=jia, now=now - timedelta(hours=1))
    sweep(now)
    with scope.customer(jia):
        clock = Clock.objects.get(kind="response")
    address = f"/incidents/{clock.incident_id}/clocks/{clock.pk}/reason/"
    browser = client_for(chen)
    assert browser.post(address, {"code": "", "note": "Five at once"}).status_code == 422
    assert browser.post(address, {"code": "workload", "note": "Five <i>at once</i>"}).status_code == 302
    page = client_for(alice).get(f"/incidents/{clock.incident_id}/").content.decode()
    assert "Five &lt;i&gt;at once&lt;/i&gt;" in page
    with scope.customer(jia):
        handling = Clock.objects.get(incident=clock.incident_id, kind="handling")
    assert browser.get(f"/incidents/{clock.incident_id}/clocks/{handling.pk}/reason/").status_code == 404


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "26-03", "2026-3", "x", "", "2026-03-01", "²⁰²⁶-03", "9999-01"])
def test_a_month_is_a_year_and_a_month(text: str) -> None:
    with pytest.raises(ValueError, match="no month"):
        Month.parse(text)


def test_months_follow_each_other_over_the_year() -> None:
    december = Month.parse("2026-12")
    assert str(december.shifted(1)) == "2027-01"
    assert december.shifted(-12) == Month(2025, 12)
    assert december.freezes_at == datetime.fromisoformat("2027-01-10T00:00+08:00")
    assert december.ends_at == datetime.fromisoformat("2027-01-01T00:00+08:00")
