"""A signed report reaches the customer: inbox, mail with a link that ends, receipt; and again."""

import re
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Contact, Customer, User
from notify import live, marking
from notify.inbound.mail import Returned
from notify.models import Delivery
from notify.services import bounces
from reports.models import AccidentFile, AccidentIssue, AccidentRecipient, AccidentReport, MadeState, WrittenRecipient
from reports.services import families, sending
from tests.conftest import ClientFor
from tests.reports.conftest import at, issue_of, made
from timers.models import Timer


@pytest.fixture
def issue(report: AccidentReport, chen: User, lin: User) -> AccidentIssue:
    return made(issue_of(report, chen, lin, now=at(61)), now=at(62))


def send(issue: AccidentIssue, actor: User, *people: User, minutes: float = 63) -> list[WrittenRecipient]:
    with scope.user(actor):
        return sending.send(report=issue.report, people=people, actor=actor, now=at(minutes))


def link_of(person: User) -> str:
    with scope.platform("test"):
        mail = Delivery.objects.filter(user=person, medium="email", key__startswith="accident:issue:").latest("pk")
    found = re.search(r"\(http://testserver(/reports/open/[^)]+)\)", mail.text)
    assert found
    return found[1]


def test_it_reaches_inbox_and_mail_and_nothing_is_due_any_more(issue: AccidentIssue, chen: User, alice: User) -> None:
    send(issue, chen, alice)
    with scope.platform("test"):
        media = set(Delivery.objects.filter(user=alice).values_list("medium", flat=True))
        assert not Timer.objects.pending().filter(key__startswith="accident-report:").exists()
        report = AccidentReport.objects.get()
    assert media == {"inbox", "email"}
    assert (report.state, report.sent_at) == ("sent", at(63))
    with scope.user(alice):
        assert AccidentReport.objects.get().issues.count() == 1


def test_the_inbox_holds_no_secret_of_the_link(issue: AccidentIssue, chen: User, alice: User) -> None:
    send(issue, chen, alice)
    with scope.platform("test"):
        inbox = Delivery.objects.get(user=alice, medium="inbox", key__startswith="accident:issue:")
    assert "/open/" not in inbox.text + inbox.url


def test_only_people_of_the_customer_get_it(issue: AccidentIssue, chen: User, eve: User, lin: User) -> None:
    for people in ((), (eve,), (lin,)):
        with pytest.raises(DomainError):
            send(issue, chen, *people)


def test_neither_unsigned_nor_unmade_is_sent(report: AccidentReport, chen: User, lin: User, alice: User) -> None:
    with scope.user(chen), pytest.raises(DomainError) as refusal:
        sending.send(report=report, people=[alice], actor=chen, now=at(61))
    assert refusal.value.code == "wrong_state"
    issue_of(report, chen, lin, now=at(61))
    with scope.user(chen), pytest.raises(DomainError) as refusal:
        sending.send(report=report, people=[alice], actor=chen, now=at(62))
    assert refusal.value.code == "not_made"
    with scope.user(alice), pytest.raises(PermissionDenied), scope.platform("test"):
        sending.send(report=report, people=[alice], actor=alice, now=at(62))


def test_contacts_are_the_usual_recipients(issue: AccidentIssue, jia: Customer, alice: User, bob: User) -> None:
    with scope.platform("test"):
        Contact.objects.create(customer=jia, kind="first_pm", user=bob, phone="1", email="b@example.com")
        assert families.of(issue).usual(issue.report) == {bob.pk}
        assert [person.name for person in sending.candidates(issue.report)] == ["Bob", "Alice"]


def test_the_link_shows_by_get_and_hands_out_and_records_by_post(issue: AccidentIssue, chen: User, alice: User) -> None:
    with scope.user(chen):
        sending.send(report=issue.report, people=[alice], actor=chen, now=timezone.now())
    browser = Client()
    page = browser.get(link_of(alice))
    assert page.status_code == 200
    with scope.platform("test"):
        assert AccidentRecipient.objects.get().received_at is None
    file = browser.post(link_of(alice))
    assert file["Content-Type"] == "application/pdf"
    assert file.content.startswith(b"%PDF")
    with scope.platform("test"):
        recipient = AccidentRecipient.objects.get()
        assert (recipient.received_by, recipient.received_from) == ("link", "127.0.0.1")
        assert AuditEntry.objects.filter(action="accident.receive").count() == 1
    first = recipient.received_at
    browser.post(link_of(alice))
    with scope.platform("test"):
        assert AccidentRecipient.objects.get().received_at == first


def test_the_links_page_says_whose_report_it_is_and_when_there_is_none_yet(
    issue: AccidentIssue, chen: User, alice: User
) -> None:
    with scope.user(chen):
        sending.send(report=issue.report, people=[alice], actor=chen, now=timezone.now())
    with scope.platform("test"):
        title, customer = issue.report.title, issue.report.customer.name
    shown = Client().get(link_of(alice)).content.decode()
    assert title in shown
    assert customer in shown
    assert "<button" in shown[shown.index("<main") : shown.index("</main")]
    with scope.platform("test"):
        AccidentFile.objects.filter(issue=issue).update(state=MadeState.WAITING)
    shown = Client().get(link_of(alice)).content.decode()
    main = shown[shown.index("<main") : shown.index("</main")]
    assert "<button" not in main
    assert "文档正在生成" in main


def test_a_link_that_is_forged_ended_or_of_somebody_who_left_opens_nothing(
    issue: AccidentIssue, chen: User, alice: User, bob: User
) -> None:
    now = timezone.now()
    with scope.user(chen):
        for_alice, for_bob = sending.send(report=issue.report, people=[alice, bob], actor=chen, now=now)
    link = link_of(alice)
    assert Client().get(link[:-3] + "x/").status_code == 404
    assert Client().post("/reports/open/forged/").status_code == 404
    with scope.platform("test"):
        AccidentRecipient.objects.filter(pk=for_alice.pk).update(link_ends_at=now - timedelta(seconds=1))
        User.objects.filter(pk=for_bob.user_id).update(is_active=False)
    for address in (link, link_of(bob)):
        assert Client().get(address).status_code == 404
        assert Client().post(address).status_code == 404


def test_sent_again_the_link_works_longer_and_the_person_hears_again(
    issue: AccidentIssue, chen: User, alice: User
) -> None:
    send(issue, chen, alice)
    [again] = send(issue, chen, alice, minutes=100)
    assert (again.times, again.link_ends_at) == (2, at(100) + timedelta(days=14))
    with scope.platform("test"):
        assert Delivery.objects.filter(user=alice, medium="email").count() == 2


def test_in_the_portal_the_recipient_confirms_and_others_do_not(
    issue: AccidentIssue, chen: User, alice: User, bob: User, vera: User, client_for: ClientFor
) -> None:
    send(issue, chen, alice)
    address = f"/reports/accidents/{issue.report.pk}/issues/{issue.pk}/"
    page = client_for(alice).get(f"/reports/accidents/{issue.report.pk}/", follow=True)
    assert "too small" in page.content.decode()
    assert client_for(bob).post(f"{address}receipt/").status_code == 403
    assert client_for(vera).post(f"{address}receipt/").status_code == 403
    assert client_for(vera).get(f"{address}pdf/").content.startswith(b"%PDF")
    assert client_for(alice).post(f"{address}receipt/").status_code == 302
    with scope.platform("test"):
        assert AccidentRecipient.objects.get().received_by == "portal"


def test_a_mail_that_came_back_is_seen_beside_its_recipient(
    issue: AccidentIssue, chen: User, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(issue, chen, alice)
    hints: list[dict[str, object]] = []
    monkeypatch.setattr(live, "publish", lambda **hint: hints.append(hint))
    with scope.platform("test"):
        delivery = Delivery.objects.get(user=alice, medium="email", subject__contains=issue.report.number)
        back = Returned((marking.message_id(delivery.pk),), "5.1.1", "550 no such user")
        sealed = marking.message_id(delivery.pk).partition("@")[0]
        foreign = Returned((f"{sealed}@elsewhere.example",), "5.1.1", "550 no such user")
        guessed = Returned((f"rdmp.delivery.{delivery.pk}.{0:016x}@testserver",), "5.1.1", "550 no such user")
        assert bounces.note(returned=foreign, now=at(64)) is None
        assert bounces.note(returned=guessed, now=at(64)) is None
        assert sending.receipts(issue)[0].returned == ""
        bounces.note(returned=back, now=at(65))
        bounces.note(returned=back, now=at(66))
        delivery.refresh_from_db()
        assert delivery.returned_at == at(65)
        assert sending.receipts(issue)[0].returned == "5.1.1 550 no such user"
    assert hints == [{"customer_id": issue.customer_id, "topic": "deliveries", "object_id": delivery.pk}]
