"""What a node asks over HTTPS. Each request is signed with the node's key; nothing else opens these addresses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Final

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts import scope
from accounts.errors import DomainError
from accounts.models import User
from bastion.gateway import wire
from bastion.gateway.contract import Front, Person
from bastion.models import Node
from bastion.services import enrolling, errands, facts, letting_in, recordings, reviewing, signing_in
from bastion.services.recognising import node_of

LONGEST_BODY: Final = recordings.LARGEST + wire.LONGEST_LINK + 4
"""A piece of a recording behind its link: the longest that a node brings."""
MOST_DIGITS: Final = 9
MOST_NUMBER: Final = 2**53
JSON: Final = "application/json"
log = logging.getLogger(__name__)
Handler = Callable[[Node, bytes], object]


def answered(handler: Handler) -> Callable[[HttpRequest], HttpResponse]:
    """The view of a handler: signed by an enrolled node, within the platform's scope, refusals as `wire.No`."""

    @csrf_exempt
    @login_not_required
    @require_POST
    @wraps(handler)
    def view(request: HttpRequest) -> HttpResponse:
        with scope.platform("a node asks"):
            try:
                node = _node_of(request)
                if node is None:
                    return _say(wire.No("unknown_node", ""), 401)
                return _say(handler(node, request.body), 200)
            except wire.Malformed as problem:
                return _say(wire.No("malformed", str(problem)[:300]), 400)
            except letting_in.NotYet as no:
                return _say(no.answer, 403)
            except DomainError as refusal:
                return _say(wire.No(refusal.code, refusal.message), 403)
            except (recordings.NoRoom, errands.NotNow) as problem:
                log.error("what a node brings cannot be kept: %r", problem)
                is_full = isinstance(problem, recordings.NoRoom)
                return _say(wire.No("no_room", ""), 507) if is_full else _say(wire.No("not_now", ""), 503)

    return view


@csrf_exempt
@login_not_required
@require_POST
def enrol(request: HttpRequest) -> HttpResponse:
    """The one request that no key signs: it brings the key, and the token that vouches for it."""
    with scope.platform("a node enrols"):
        try:
            said = wire.decode(wire.Enrol, _body(request))
            node = enrolling.enrol(said=said, address=request.META.get("REMOTE_ADDR", ""), now=timezone.now())
        except wire.Malformed as problem:
            return _say(wire.No("malformed", str(problem)[:300]), 400)
        except DomainError as refusal:
            return _say(wire.No(refusal.code, refusal.message), 403)
        return _say(wire.Enrolled(node.pk), 200)


@answered
def standing(node: Node, _body: bytes) -> wire.Standing:
    return enrolling.standing(node=node, now=timezone.now())


@answered
def present(node: Node, body: bytes) -> wire.Standing:
    said = wire.decode(wire.Here, body)
    return enrolling.standing(node=enrolling.present(node=node, said=said), now=timezone.now())


@answered
def drain(node: Node, body: bytes) -> wire.Standing:
    is_on = wire.decode(bool, body)
    now = timezone.now()
    return enrolling.standing(node=enrolling.drain_itself(node=node, is_on=is_on, now=now), now=now)


@answered
def leave(node: Node, _body: bytes) -> None:
    enrolling.leave(node=node, now=timezone.now())


@answered
def known_key(node: Node, body: bytes) -> bool:
    said = wire.decode(wire.ByKey, body)
    return signing_in.is_known_key(node=node, login=said.login, public_key=said.public_key, client=said.client)


@answered
def by_key(node: Node, body: bytes) -> Person:
    said = wire.decode(wire.ByKey, body)
    key = signing_in.by_key(
        node=node, login=said.login, public_key=said.public_key, client=said.client, code=said.code, now=timezone.now()
    )
    return signing_in.as_person(key.person, node, key=key)


@answered
def by_password(node: Node, body: bytes) -> Person:
    said = wire.decode(wire.ByPassword, body)
    person = signing_in.by_password(
        node=node, login=said.login, password=said.password, code=said.code, client=said.client, now=timezone.now()
    )
    return signing_in.as_person(person, node)


@answered
def by_ticket(node: Node, body: bytes) -> object:
    said = wire.decode(wire.ByTicket, body)
    ticket = signing_in.by_ticket(node=node, ticket=said.ticket, client=said.client, now=timezone.now())
    wish = wire.ForAccess(
        token="", client=said.client, front=Front.SSH, resource=f"#{ticket.asset_id}",
        account=ticket.account, work=ticket.work,
    )  # fmt: skip
    return wire.Ticketed(signing_in.as_person(ticket.person, node), wish)


@answered
def resources(node: Node, body: bytes) -> object:
    said = wire.decode(wire.ForResources, body)
    person = signing_in.person_of(said.token, node)
    with _as(person):
        return letting_in.resources(person, node=node, query=said.query, limit=said.limit, now=timezone.now())


@answered
def access(node: Node, body: bytes) -> object:
    said = wire.decode(wire.ForAccess, body)
    who = signing_in.signed_in(said.token, node)
    with _as(who.person):
        return letting_in.let_in(who.person, node=node, said=said, key=who.key, now=timezone.now())


@answered
def review(node: Node, body: bytes) -> bool:
    """True: it waits, and the answer comes as an order."""
    reviewing.ask(node=node, said=wire.decode(wire.ForReview, body), now=timezone.now())
    return True


@answered
def hops(node: Node, body: bytes) -> object:
    said = wire.decode(wire.ForHops, body)
    person = signing_in.person_of(said.token, node)
    with _as(person):
        return letting_in.way_of(person, node=node, session_id=said.session, now=timezone.now())


@answered
def tell(node: Node, body: bytes) -> wire.Taken:
    said = wire.decode(wire.Facts, body)
    return wire.Taken(facts.take(node=node, told=said.facts, now=timezone.now()))


@answered
def piece(node: Node, body: bytes) -> int:
    link, data = wire.link_of(body)
    return recordings.take(node=node, link=link, data=data, now=timezone.now()).number


@answered
def what_to_do(node: Node, body: bytes) -> wire.Errands:
    said = wire.decode(wire.ForErrand, body)
    return errands.assignment(node=node, kind=said.kind, known=said.version, now=timezone.now())


@answered
def errand_answer(node: Node, body: bytes) -> int:
    """The number up to which answers are taken."""
    kind, head, data = wire.frame_of(body)
    said = wire.decode(wire.ErrandAnswer, head)
    if kind != "ErrandAnswer" or not 0 < said.number < MOST_NUMBER:
        raise wire.Malformed("no answer")
    return errands.take(node=node, kind=said.kind, number=said.number, body=data, now=timezone.now())


def _node_of(request: HttpRequest) -> Node | None:
    """Whoever does not say which node they are is not even read. Raises Malformed."""
    if wire.NODE not in request.headers:
        return None
    return node_of(request.headers, method=request.method or "", path=request.get_full_path(), body=_body(request))


def _body(request: HttpRequest) -> bytes:
    """Raises Malformed for more than a node ever says at once, and for what does not say how much it is."""
    length = request.headers.get("Content-Length") or ""
    if not (length.isascii() and length.isdecimal() and len(length) <= MOST_DIGITS) or int(length) > LONGEST_BODY:
        raise wire.Malformed("too long, or of unknown length")
    return request.body


@contextmanager
def _as(person: User) -> Iterator[None]:
    """Within what the person may see, in their language: a node asks for many, each of them sees their own."""
    with scope.user(person), translation.override(person.language or None):
        yield


def _say(answer: object, status: int) -> HttpResponse:
    return HttpResponse(wire.encode(answer), status=status, content_type=JSON)
