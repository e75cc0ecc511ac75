"""The grammar of user names, and the doorstep's counting."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.gateway.limits import Doorstep
from bastion.gateway.ssh.names import BadName, Login, Ticket, parse

TICKET = "ticket-" + "aB3_-" * 5
words = st.text(st.characters(exclude_characters="@#", exclude_categories=("Z", "C")), min_size=1, max_size=20)
persons = st.one_of(words, st.builds("{}@{}".format, words, words))


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("chen", Login("chen")),
        ("chen@rdmp.example", Login("chen@rdmp.example")),
        ("chen#web-01", Login("chen", "web-01")),
        ("chen@rdmp.example#web-01", Login("chen@rdmp.example", "web-01")),
        ("chen@trops@web-01", Login("chen", "web-01", "trops")),
        ("chen@rdmp.example@trops@10.0.0.7", Login("chen@rdmp.example", "10.0.0.7", "trops")),
        ("chen##8", Login("chen", "#8")),
        ("chen@rdmp.example##8", Login("chen@rdmp.example", "#8")),
        ("chen@trops@#8", Login("chen", "#8", "trops")),
        ("chen@rdmp.example@trops@#8", Login("chen@rdmp.example", "#8", "trops")),
        ("陈#数据库-1", Login("陈", "数据库-1")),
        ("chen#web-01~INC-000123", Login("chen", "web-01", work="INC-000123")),
        ("chen##8~chg-7", Login("chen", "#8", work="CHG-7")),
        ("chen@rdmp.example@trops@web-01~CHG-7", Login("chen@rdmp.example", "web-01", "trops", "CHG-7")),
        ("chen#web~01", Login("chen", "web~01")),
        (TICKET, Ticket(TICKET)),
    ],
)
def test_each_form_is_read(name: str, means: Login | Ticket) -> None:
    assert parse(name) == means


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "#web",
            "chen#",
            "chen@",
            "@trops@web",
            "a@b@c@d@e",
            "chen#a@b",
            "a#b#c",
            "a b",
            "chen@trops@",
            "a@b@@web",
        ),
        *("#8", "##8", "chen@#8", "chen###8", "chen##web", "chen##", "chen@trops@##8", "a@b@c@d@#8", "chen##8\n"),
        f"chen{'#' * 9000}8",
        *("chen~INC-1", "chen@rdmp.example~INC-1", "chen#~INC-1", "chen#web~INC-1~INC-2", f"{TICKET}~INC-1"),
    ],
)
def test_what_fits_no_form_is_refused(name: str) -> None:
    with pytest.raises(BadName):
        parse(name)


@given(persons, words | st.just(""), words | st.just(""), st.sampled_from(["", "INC-000123", "CHG-7"]))
def test_a_name_survives_the_round_trip(person: str, resource: str, account: str, work: str) -> None:
    login = Login(person, resource, account if resource else "", work if resource else "")
    assert parse(str(login)) == login


@given(st.text(string.ascii_letters + "@#-. \n\x00é01", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read = parse(text)
    except BadName:
        return
    assert str(read) == text if isinstance(read, Login) else read.value == text


def test_the_doorstep_counts_per_address_and_overall() -> None:
    door = Doorstep(most=3, most_per_address=2)
    assert [door.enter("10.0.0.1"), door.enter("::ffff:10.0.0.1"), door.enter("10.0.0.1")] == [True, True, False]
    assert [door.enter("2001:db8::1"), door.enter("10.0.0.9")] == [True, False]
    door.leave("10.0.0.1")
    assert door.enter("10.0.0.9")
    assert door.count == 3


def test_one_household_of_ipv6_counts_as_one() -> None:
    door = Doorstep(most=9, most_per_address=1)
    assert door.enter("2001:db8::1")
    assert not door.enter("2001:db8::2")
    assert door.enter("2001:db8:0:1::1")
