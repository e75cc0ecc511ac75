"""The demo's accident plays through the real services and leaves nothing to be sent today."""

import pytest

from accounts import scope
from accounts.models import Contact, Customer, Severity, User
from demo import accidents
from incidents.models import Article, FollowUp, Incident
from notify.models import Delivery
from reports.models import AccidentIssue, AccidentRecipient, AccidentReport
from tests.conftest import NOW
from tests.incidents.conftest import make_asset
from timers.models import Timer


@pytest.mark.django_db
def test_the_accident_of_the_demo_is_reported_signed_and_followed_up(
    jia: Customer, alice: User, chen: User, lin: User
) -> None:
    for name in ("mall-order", "mall-public"):
        make_asset(jia, name)
    with scope.platform("test"):
        Contact.objects.create(customer=jia, kind="first_pm", user=alice, phone="1", email="a@example.com")
        report = accidents.write(customer=jia, engineer=chen, manager=lin, now=NOW)
        assert (report.state, report.trigger, report.incident.severity) == ("sent", "outage", Severity.HIGH)
        assert set(Incident.objects.values_list("state", flat=True)) == {"closed"}
        issue = AccidentIssue.objects.get()
        assert AccidentRecipient.objects.get().received_at
        assert all(issue.content["parts"].values())
        assert "{" not in issue.content["parts"]["fault"]
        assert sorted(AccidentReport.objects.values_list("state", flat=True)) == ["sent", "withdrawn"]
        assert (FollowUp.objects.count(), Article.objects.published().count()) == (3, 4)
        assert not Delivery.objects.filter(state="pending", created_at__lt=NOW).exists()
        assert not Timer.objects.pending().filter(key__startswith="incidents:").exists()
