"""R145: no port is closed before a named contact of the customer has signed which; the list says who did."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import timedelta

import pytest

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, Role, User
from assets.models import Asset
from changes import gates
from changes.gates import Facts, Gate, Lack, Word
from changes.models import Change, ChangeKind
from changes.services import confirming, drafting, executing, facts, templates
from changes.services.templates import Described
from incidents.models import Incident, Purpose
from tests.changes.conftest import WINDOW, draft, prepared, sign
from tests.conftest import NOW, ClientFor, make_person

FIELDS = {"ports": "8080, 9200", "reason": "Nothing listens there since spring"}


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


def closing(incident: Incident, chen: User, web: Asset, *, kind: str = ChangeKind.NORMAL) -> Change:
    return draft(incident, chen, web, kind=kind, operation="port-closing", fields=FIELDS)


@pytest.mark.parametrize("kind", list(gates.Kind))
def test_only_a_signature_opens_the_gate(kind: gates.Kind) -> None:
    for word in Word:
        shown = Facts(kind=kind, must_sign=True, confirmed=word, heard=True, template_in_force=True)
        lacks = [lack for lack in gates.missing(shown) if lack.gate is Gate.CONFIRMED]
        assert bool(lacks) is (word is not Word.YES), word
    usual = Facts(kind=gates.Kind.EMERGENCY, heard=True)
    assert not [lack for lack in gates.missing(usual) if lack.gate is Gate.CONFIRMED], "of other emergencies it may be"


@pytest.mark.usefixtures("contacts")
def test_an_emergency_closes_no_port_on_a_spoken_word(incident: Incident, web: Asset, lin: User, alice: User) -> None:
    change = closing(incident, lin, web, kind=ChangeKind.EMERGENCY)
    drafting.submit(change=change, actor=lin, now=NOW)
    asked = confirming.tell_risk(change=change, text="They are gone", actor=lin, now=NOW)
    assert asked is not None
    assert asked.purpose == Purpose.PORT_CLOSING
    assert "8080, 9200" in asked.text
    with pytest.raises(DomainError) as refused:
        confirming.hear(change=change, name="Alice", words="Yes", actor=lin, now=NOW)
    assert refused.value.code == "must_sign"
    Change.objects.filter(pk=change.pk).update(heard_at=NOW, heard_from="Alice")
    change.refresh_from_db()
    lacks = {lack.lack for lack in gates.missing(facts.gather(change, now=NOW))}
    assert Lack.NOT_SIGNED in lacks
    sign(change, alice)
    change.refresh_from_db()
    assert Lack.NOT_SIGNED not in {lack.lack for lack in gates.missing(facts.gather(change, now=NOW))}


def test_no_template_closes_ports(jia: Customer, web: Asset, chen: User) -> None:
    day = (NOW + timedelta(days=90)).date()
    said = Described("Close", "port-closing", FIELDS, (web,), "plan", "back", "risk", day)
    with pytest.raises(DomainError) as refused:
        templates.create(customer=jia, said=said, actor=chen, now=NOW)
    assert refused.value.code == "must_sign"


@pytest.mark.usefixtures("contacts")
def test_the_list_says_who_confirmed_which_port_of_which_server(
    incident: Incident, web: Asset, staging: Asset, chen: User, alice: User, lin: User, vera: User, eve: User,
    client_for: ClientFor,
) -> None:  # fmt: skip
    page = client_for(vera).get("/changes/ports/").content.decode()
    assert "还没有关闭过端口" in page
    rita = make_person("rita", Role.MANAGER)
    change = prepared(closing(incident, chen, web), web, staging, chen=chen, alice=alice, lin=lin, security=(rita,))
    executing.begin(change=change, actor=chen, now=WINDOW[0])
    unsigned = closing(incident, chen, staging)
    shown = client_for(vera).get("/changes/ports/").content.decode()
    assert "8080, 9200" in shown
    assert "Alice" in shown
    signed = client_for(chen).get("/changes/ports/?confirmed=yes").content.decode()
    assert (change.number in signed, unsigned.number in signed) == (True, False)
    open_ = client_for(chen).get("/changes/ports/?confirmed=no").content.decode()
    assert (change.number in open_, unsigned.number in open_) == (False, True)
    body = b"".join(client_for(chen).get("/changes/ports/?export=csv&q=web-01"))
    (row,) = csv.DictReader(io.StringIO(body.decode("utf-8-sig")))
    assert {"web-01", "8080, 9200", "Alice"} <= set(row.values())
    assert "web-01" not in client_for(eve).get("/changes/ports/").content.decode()
