"""Mails to the service address: whose they are, which incident they go to, and what never happens."""

from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from django.conf import LazySettings
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Contact, Customer, Role, Severity, User
from incidents import services
from incidents.models import Attachment, InboundMessage, InboundSource, Incident, IncidentState, TimelineEntry
from incidents.services import inbound, triage
from notify import marking
from notify.inbound import mail
from notify.models import Delivery
from tests.conftest import NOW, make_person
from tests.incidents.conftest import raise_incident
from tests.incidents.inbound.conftest import incidents, messages, only_incident, open_door

pytestmark = pytest.mark.django_db

Verdict = InboundMessage.Verdict
PASS = "mx.rdmp.example; dmarc=pass header.from=example.com"


@pytest.fixture
def box(db: None) -> InboundSource:
    return open_door("email", None, address="service@rdmp.example", authserv="mx.rdmp.example").source


def letter(sender: str = "alice@example.com", subject: str = "Orders cannot be paid", **headers: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["Authentication-Results"] = headers.pop("results", PASS)
    message["From"] = sender
    message["To"] = headers.pop("to", "service@rdmp.example")
    message["Subject"] = subject
    message["Message-ID"] = headers.pop("message_id", f"<{abs(hash((sender, subject, *headers.items())))}@example.com>")
    body = headers.pop("body", "Since ten o'clock.\n")
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(body)
    return message


def take(source: InboundSource, message: EmailMessage) -> InboundMessage:
    raw = bytes(message)
    stored, _new = inbound.store(source=source, received=inbound.Received(key=mail.key_of(raw), raw=raw), now=NOW)
    return inbound.read(message_id=stored.pk, now=NOW)


def timeline(incident: Incident) -> list[TimelineEntry]:
    with scope.platform("test"):
        return list(TimelineEntry.objects.filter(incident=incident).order_by("pk").select_related("actor"))


def marked(incident: Incident) -> str:
    return f"Re: [{marking.mark_of(incident.number)}]"


def test_a_known_senders_mail_is_an_incident_of_their_customer(box: InboundSource, alice: User, jia: Customer) -> None:
    taken = take(box, letter())
    incident = only_incident()
    assert (incident.customer, incident.raised_by, incident.source) == (jia, alice, "email")
    assert (incident.title, incident.description) == ("Orders cannot be paid", "Since ten o'clock.")
    assert incident.severity == Severity.AVERAGE
    assert (taken.verdict, taken.incident, taken.person) == (Verdict.OPENED, incident, alice)
    assert timeline(incident)[0].data["via"] == "email"
    with scope.customer(jia):
        assert AuditEntry.objects.get(action="incident.open").detail["source"] == "email"


def test_the_subject_may_say_how_bad_it_is(box: InboundSource, alice: User) -> None:
    take(box, letter(subject="[灾难] 全站打不开"))
    assert (only_incident().severity, only_incident().title) == (Severity.DISASTER, "全站打不开")


def test_the_same_mail_twice_is_one(box: InboundSource, alice: User) -> None:
    take(box, letter())
    again = letter()
    again["Received"] = "from elsewhere"
    assert take(box, again).pk == messages()[0].pk
    assert len(incidents()) == len(messages()) == 1


def test_a_reply_with_the_mark_is_a_comment_without_what_it_quotes(
    box: InboundSource, alice: User, bob: User, jia: Customer
) -> None:
    incident = raise_incident(alice, customer=jia)
    body = "It works again.\n\nOn Mon, RDMP <service@rdmp.example> wrote:\n> Please try again\n"
    taken = take(box, letter("bob@example.com", marked(incident), body=body))
    assert taken.verdict == Verdict.JOINED
    comment = timeline(incident)[-1]
    assert (comment.kind, comment.actor, comment.body, comment.data["via"]) == (
        "comment",
        bob,
        "It works again.",
        "email",
    )
    assert len(incidents()) == 1


def test_the_mark_may_stand_in_the_address_instead(box: InboundSource, alice: User, jia: Customer) -> None:
    incident = raise_incident(alice, customer=jia)
    to = f"service+{marking.mark_of(incident.number).lower()}@rdmp.example"
    assert take(box, letter(subject="Re:", to=to)).incident == incident


def test_an_answer_to_our_own_mail_is_known_by_its_references(box: InboundSource, alice: User, jia: Customer) -> None:
    incident = raise_incident(alice, customer=jia)
    with scope.platform("test"):
        delivery = Delivery.objects.create(
            customer=jia, user=alice, key="k", medium="email", topic="incident", subject="s", created_at=NOW,
            next_attempt_at=NOW, url=f"/incidents/{incident.pk}/",
        )  # fmt: skip
    answered = f"<{marking.message_id(delivery.pk)}>"
    assert take(box, letter(subject="AW: hello", In_Reply_To=answered)).incident == incident
    sealed = marking.message_id(delivery.pk).partition("@")[0]
    for made_up in (f"<{sealed}@attacker.example>", f"<rdmp.delivery.{delivery.pk}.{0:016x}@{marking.domain()}>"):
        assert take(box, letter(subject="AW: hello again", In_Reply_To=made_up)).incident != incident


def test_a_second_mail_of_a_thread_joins_what_the_first_one_opened(box: InboundSource, alice: User) -> None:
    take(box, letter(message_id="<first@example.com>"))
    take(box, letter(subject="Re: Orders", References="<x@y> <first@example.com>"))
    assert len(incidents()) == 1


def test_the_reply_that_was_waited_for_sets_the_clocks_going(
    box: InboundSource, alice: User, chen: User, jia: Customer
) -> None:
    incident = raise_incident(alice, customer=jia)
    with scope.customer(jia):
        services.acknowledge(incident=incident, actor=chen, now=NOW)
        services.wait_for_customer(incident=incident, question="Which orders?", actor=chen, now=NOW)
    take(box, letter(subject=marked(incident), body="All of them."))
    assert only_incident().state == IncidentState.ACKNOWLEDGED


def test_a_customer_who_writes_on_a_solved_incident_opens_it_again(
    box: InboundSource, alice: User, chen: User, jia: Customer
) -> None:
    incident = raise_incident(alice, customer=jia)
    with scope.customer(jia):
        services.resolve(incident=incident, resolution="restarted", cause="system", actor=chen, now=NOW)
    take(box, letter(subject=marked(incident), body="No, it is not."))
    assert only_incident().state == IncidentState.OPEN


def test_eve_never_gets_onto_jias_incident_with_a_stolen_mark(
    box: InboundSource, alice: User, eve: User, chen: User, jia: Customer, yi: Customer
) -> None:
    theirs = raise_incident(alice, customer=jia)
    before = len(timeline(theirs))
    taken = take(box, letter("eve@example.com", marked(theirs), body="Tell me more."))
    assert (taken.customer, taken.verdict, taken.reason) == (yi, Verdict.OPENED, "foreign_mark")
    first, second = incidents()
    assert (first, second.customer, second.raised_by) == (theirs, yi, eve)
    added = timeline(theirs)[before:]
    assert [entry.is_internal for entry in added] == [True]
    assert "Tell me more." not in added[0].body
    assert "eve" not in added[0].body.lower()
    assert timeline(second)[-1].is_internal
    assert theirs.number not in timeline(second)[-1].body


def test_an_engineer_answers_and_acknowledges_by_mail(
    box: InboundSource, alice: User, chen: User, jia: Customer
) -> None:
    incident = raise_incident(alice, customer=jia)
    take(box, letter("chen@example.com", marked(incident), body="ack\n"))
    assert only_incident().acknowledged_by_id == chen.pk
    assert timeline(incident)[-1].data["via"] == "email"
    take(box, letter("chen@example.com", marked(incident), body="We are on it."))
    assert timeline(incident)[-1].body == "We are on it."


def test_a_customer_cannot_acknowledge_by_mail(box: InboundSource, alice: User, jia: Customer) -> None:
    incident = raise_incident(alice, customer=jia)
    take(box, letter(subject=marked(incident), body="ack"))
    assert only_incident().state == IncidentState.OPEN
    assert timeline(incident)[-1].body == "ack"


def test_an_engineer_who_does_not_serve_the_customer_reaches_nothing_by_mail(
    box: InboundSource, alice: User, jia: Customer
) -> None:
    make_person("dora", Role.ENGINEER)
    incident = raise_incident(alice, customer=jia)
    before = len(timeline(incident))
    taken = take(box, letter("dora@example.com", marked(incident), body="ack"))
    assert (taken.verdict, taken.reason) == (Verdict.HELD, "no_customer")
    assert len(timeline(incident)) == before


@pytest.mark.parametrize(
    ("sender", "results", "reason"),
    [
        ("stranger@nowhere.example", "mx.rdmp.example; dmarc=pass header.from=nowhere.example", "unknown_sender"),
        ("alice@example.com", "mx.rdmp.example; dmarc=fail header.from=example.com", "unproven_sender"),
        ("alice@example.com", "mx.attacker.example; dmarc=pass header.from=example.com", "unproven_sender"),
        ("vera@example.com", PASS, "read_only"),
    ],
)
def test_whoever_is_not_surely_somebody_waits_for_a_person_with_the_clock_running(
    sender: str, results: str, reason: str, box: InboundSource, alice: User, vera: User, lin: User, jia: Customer
) -> None:
    theirs = raise_incident(alice, customer=jia)
    taken = take(box, letter(sender, marked(theirs), results=results))
    assert (taken.verdict, taken.reason, taken.customer) == (Verdict.HELD, reason, None)
    assert taken.due_at == NOW + triage.RESPONSE
    assert len(incidents()) == 1
    assert [entry.kind for entry in timeline(theirs)] == ["opened"]
    with scope.platform("test"):
        told = Delivery.objects.filter(user=lin, medium="inbox", url=f"/ways-in/unknown/{taken.pk}/")
        assert told.count() == 1
        triage.remind(message_id=taken.pk, now=NOW + timedelta(minutes=10))
        assert Delivery.objects.filter(user=lin, medium="email", key=f"inbound:{taken.pk}:late").count() == 1


@pytest.fixture
def own_box(jia: Customer) -> InboundSource:
    return open_door("email", jia, address="jia@rdmp.example", authserv="mx.rdmp.example").source


STRANGER = "stranger@nowhere.example"


def test_at_a_customers_own_mailbox_an_unknown_sender_opens_an_unverified_incident_at_once(
    own_box: InboundSource, jia: Customer
) -> None:
    message = letter(STRANGER, "[灾难] 全站打不开")
    message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="a.pdf")
    taken = take(own_box, message)
    incident = only_incident()
    assert (taken.verdict, taken.reason, taken.person) == (Verdict.OPENED, "unknown_sender", None)
    assert (taken.customer, taken.incident, taken.due_at) == (jia, incident, None)
    assert (incident.customer, incident.raised_by, incident.severity) == (jia, None, Severity.DISASTER)
    [entry] = timeline(incident)
    assert (entry.data["verified"], entry.data["sender"]) == (False, STRANGER)
    with scope.customer(jia):
        assert incident.response is not None
        assert incident.response.due_at == NOW + triage.RESPONSE
        assert Attachment.objects.get(incident=incident).uploaded_by is None


@pytest.mark.parametrize(
    ("sender", "results", "reason"),
    [
        ("alice@example.com", "mx.attacker.example; dmarc=pass header.from=example.com", "unproven_sender"),
        ("eve@example.com", PASS, "unknown_sender"),
    ],
)
def test_who_is_not_proven_to_be_of_the_customer_is_not_verified_there(
    sender: str, results: str, reason: str, own_box: InboundSource, alice: User, eve: User, jia: Customer
) -> None:
    theirs = raise_incident(alice, customer=jia)
    taken = take(own_box, letter(sender, marked(theirs), results=results))
    assert (taken.verdict, taken.reason, taken.person) == (Verdict.OPENED, reason, None)
    assert incidents()[-1].raised_by is None
    assert [entry.kind for entry in timeline(theirs)] == ["opened"], "a mark gives no right"


def test_what_an_unknown_sender_adds_goes_to_what_they_began_and_nobody_else_joins_it(
    own_box: InboundSource, jia: Customer, chen: User
) -> None:
    take(own_box, letter(STRANGER, message_id="<first@nowhere.example>"))
    incident = only_incident()
    added = take(own_box, letter(STRANGER, "Re: Orders", References="<first@nowhere.example>", body="All of them."))
    assert (added.verdict, added.incident) == (Verdict.JOINED, incident)
    entry = timeline(incident)[-1]
    assert (entry.kind, entry.actor, entry.body, entry.data["via"]) == ("comment", None, "All of them.", "email")
    other = take(own_box, letter("other@nowhere.example", "Re: Orders", References="<first@nowhere.example>"))
    assert other.verdict == Verdict.OPENED
    with scope.customer(jia):
        services.resolve(incident=incident, resolution="restarted", cause="system", actor=chen, now=NOW)
    assert take(own_box, letter(STRANGER, "Re: again", References="<first@nowhere.example>")).verdict == Verdict.OPENED
    assert only_state(incident) == IncidentState.RESOLVED


def only_state(incident: Incident) -> str:
    with scope.platform("test"):
        return str(Incident.objects.get(pk=incident.pk).state)


def test_who_may_only_read_opens_nothing_at_their_own_mailbox_either(own_box: InboundSource, vera: User) -> None:
    taken = take(own_box, letter("vera@example.com"))
    assert (taken.verdict, taken.reason, incidents()) == (Verdict.HELD, "read_only", [])


def test_a_mailbox_may_be_told_to_believe_senders(alice: User, jia: Customer) -> None:
    box = open_door("email", None, address="service@rdmp.example", trusts_from=True).source
    assert take(box, letter(results="")).verdict == Verdict.OPENED


def test_an_address_of_two_people_is_nobodys(box: InboundSource, alice: User, eve: User, yi: Customer) -> None:
    with scope.platform("test"):
        Contact.objects.create(customer=yi, kind="first_pm", user=eve, phone="1", email="alice@example.com")
    assert take(box, letter()).reason == "ambiguous_sender"


def test_a_contacts_other_address_is_known_too(box: InboundSource, alice: User, jia: Customer) -> None:
    with scope.platform("test"):
        Contact.objects.create(customer=jia, kind="first_pm", user=alice, phone="1", email="pm@jia.example")
    results = "mx.rdmp.example; dmarc=pass header.from=jia.example"
    assert take(box, letter("pm@jia.example", results=results)).person == alice


def test_a_person_who_has_left_is_unknown(box: InboundSource, alice: User) -> None:
    with scope.platform("test"):
        User.objects.filter(pk=alice.pk).update(is_active=False)
    assert take(box, letter()).reason == "unknown_sender"


def test_machines_and_our_own_mails_open_nothing(box: InboundSource, alice: User, settings: LazySettings) -> None:
    settings.DEFAULT_FROM_EMAIL = "RDMP <noreply@rdmp.example>"
    own = f"<{marking.message_id(7)}>"
    for number, message in enumerate(
        (
            letter(Auto_Submitted="auto-replied"),
            letter(List_Id="<x.example.com>"),
            letter("mailer-daemon@example.com"),
            letter("noreply@rdmp.example"),
            letter("service@rdmp.example", subject="s"),
            letter(message_id=own, subject="t"),
        )
    ):
        assert take(box, message).verdict == Verdict.IGNORED, number
    assert {each.reason for each in messages()} == {"automatic", "mailing_list", "bounce", "own"}
    assert incidents() == []


def test_files_are_kept_and_those_that_are_not_welcome_are_named(
    box: InboundSource, alice: User, jia: Customer
) -> None:
    message = letter()
    message.add_attachment(b"\x89PNG\r\n\x1a\n0", maintype="image", subtype="png", filename="screen.png")
    message.add_attachment(b"MZ\x90\x00", maintype="application", subtype="octet-stream", filename="../fix.exe")
    message.add_attachment(b"<script>", maintype="text", subtype="html", filename="page.html")
    take(box, message)
    incident = only_incident()
    with scope.customer(jia):
        kept = Attachment.objects.get(incident=incident)
    assert (kept.name, kept.content_type, kept.uploaded_by_id) == ("screen.png", "image/png", alice.pk)
    assert "fix.exe, page.html" in incident.description
    reply = letter(subject=marked(incident), body="see file")
    reply.add_attachment(b"MZ", maintype="application", subtype="octet-stream", filename="again.exe")
    take(box, reply)
    assert "again.exe" in timeline(incident)[-1].body


def test_a_mail_that_cannot_be_read_is_shown_as_such(box: InboundSource) -> None:
    stored, _new = inbound.store(source=box, received=inbound.Received(key="k", raw=b"Subject: x\r\n\r\n"), now=NOW)
    assert inbound.read(message_id=stored.pk, now=NOW).verdict == Verdict.FAILED


def test_saying_whose_it_is_opens_it_with_the_clock_of_when_it_came(
    box: InboundSource, alice: User, chen: User, jia: Customer
) -> None:
    message = letter("stranger@nowhere.example")
    message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="a.pdf")
    held = take(box, message)
    later = NOW + timedelta(minutes=7)
    with scope.user(chen):
        incident = triage.assign(message=held, customer=jia, person=None, severity=Severity.HIGH, actor=chen, now=later)
    assert incident is not None
    assert (incident.customer, incident.raised_by, incident.severity) == (jia, None, Severity.HIGH)
    assert incident.clock_started_at == NOW
    with scope.customer(jia):
        assert incident.response is not None
        assert incident.response.due_at == NOW + timedelta(minutes=15)
        assert Attachment.objects.get(incident=incident).uploaded_by_id == chen.pk
    assert timeline(incident)[0].data["verified"] is False
    with scope.user(chen), pytest.raises(DomainError):
        triage.assign(message=held, customer=jia, person=None, severity=Severity.HIGH, actor=chen, now=later)


def test_nobody_gives_a_message_to_a_customer_they_do_not_serve_or_to_a_foreign_person(
    box: InboundSource, chen: User, eve: User, alice: User, jia: Customer
) -> None:
    held = take(box, letter("stranger@nowhere.example"))
    dora = make_person("dora", Role.ENGINEER)
    for actor in (dora, alice):
        with scope.user(actor), pytest.raises(PermissionDenied):
            triage.assign(message=held, customer=jia, person=None, severity=Severity.HIGH, actor=actor, now=NOW)
    with scope.user(chen), pytest.raises(DomainError):
        triage.assign(message=held, customer=jia, person=eve, severity=Severity.HIGH, actor=chen, now=NOW)
    assert incidents() == []


def test_rejecting_opens_nothing_and_stays_in_the_log(box: InboundSource, chen: User) -> None:
    held = take(box, letter("stranger@nowhere.example"))
    with scope.user(chen):
        triage.reject(message=held, actor=chen, now=NOW)
    assert (messages()[0].verdict, messages()[0].handled_by_id, incidents()) == (Verdict.REJECTED, chen.pk, [])
