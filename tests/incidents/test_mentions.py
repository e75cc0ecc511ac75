"""Naming somebody in a text: who is meant, who may be named by whom, and what they hear."""

import pytest

from accounts import scope
from accounts.models import Customer, User
from incidents import mentions, services
from incidents.models import Incident
from incidents.people import mentionable
from incidents.templatetags.incident_tags import said
from notify.models import Delivery
from tests.conftest import NOW
from tests.incidents.conftest import raise_incident

NAMES = ["Li", "Li Ming", "陈工", "O'Neil"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@Li please look", ["Li"]),
        ("@li ming and @Li, please", ["Li Ming", "Li"]),
        ("请@陈工看一下", ["陈工"]),
        ("＠陈工", ["陈工"]),
        ("mail to ops@Li.example", []),
        ("@Lisa is somebody else", []),
        ("@O'Neil @O'Neil", ["O'Neil"]),
        ("@", []),
        ("@nobody", []),
        ("https://x.example/@Li", ["Li"]),
    ],
)
def test_the_longest_whole_name_after_an_at_is_meant(text: str, found: list[str]) -> None:
    assert mentions.find(text, NAMES) == found


def test_a_flood_of_mentions_is_cut() -> None:
    names = [f"n{number:03}" for number in range(50)]
    assert len(mentions.find(" ".join(f"@{name}" for name in names), names)) == mentions.MOST


@pytest.fixture
def incident(jia: Customer, alice: User) -> Incident:
    return raise_incident(alice, customer=jia)


def say(incident: Incident, actor: User, body: str, *, is_internal: bool = False) -> list[object]:
    with scope.customer(incident.customer_id):
        entry = services.comment(incident=incident, body=body, actor=actor, now=NOW, is_internal=is_internal)
    named = entry.data.get("mentions", [])
    assert isinstance(named, list)
    return [each["user"] for each in named]


def inbox_of(person: User) -> list[str]:
    with scope.platform("test"):
        return list(Delivery.objects.inbox_of(person).values_list("subject", flat=True))


def test_whoever_is_named_hears_of_it_once(incident: Incident, alice: User, bob: User, chen: User) -> None:
    assert say(incident, chen, f"@{alice.name} @{bob.name} which order?") == [alice.pk, bob.pk]
    assert [subject for subject in inbox_of(bob) if "mentioned" in subject or "提到" in subject]
    about = [subject for subject in inbox_of(alice) if chen.name in subject]
    assert len(about) == 1  # not once more because she raised it


def test_an_internal_note_names_nobody_of_the_customer(incident: Incident, alice: User, chen: User, lin: User) -> None:
    assert say(incident, chen, f"@{alice.name} @{lin.name} hm", is_internal=True) == [lin.pk]
    assert not [subject for subject in inbox_of(alice) if chen.name in subject]


def test_another_customers_people_cannot_be_named(incident: Incident, alice: User, eve: User, chen: User) -> None:
    assert say(incident, alice, f"@{eve.name}") == []
    assert say(incident, chen, f"@{eve.name}") == []


def test_a_customer_names_their_own_people_and_whoever_wrote_here(
    incident: Incident, alice: User, bob: User, chen: User, root: User
) -> None:
    with scope.customer(incident.customer_id):
        before = set(mentionable(incident, alice, is_internal=False))
    assert bob in before
    assert not {chen, root} & before
    say(incident, chen, "On it.")
    with scope.customer(incident.customer_id):
        assert chen in mentionable(incident, alice, is_internal=False)


def test_a_mention_is_set_apart_and_stays_harmless(incident: Incident, bob: User, chen: User) -> None:
    bob.name = "<b>Bob"
    with scope.platform("test"):
        bob.save()
    body = "@<b>Bob see https://x.example/@<b>Bob <script>"
    with scope.customer(incident.customer_id):
        entry = services.comment(incident=incident, body=body, actor=chen, now=NOW)
    html = said(entry)
    assert '<span class="mention">@&lt;b&gt;Bob</span>' in html
    assert "<b>" not in html
    assert "<script>" not in html
    assert 'href="https://x.example/"' in html
