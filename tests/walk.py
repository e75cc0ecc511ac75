"""What a walk over every address is made of: the addresses with ids filled in, and a visitor who asks and undoes."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from http.cookies import SimpleCookie
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts import scope
from monitoring.rules import RULES
from tests.conftest import NOW

JIAS, YIS = 770_001, 880_001
API_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PAGE_METHODS = ("GET", "POST")  # a page knows no others: it refuses them or takes them for GET
READING = ("GET", "HEAD", "OPTIONS")
REFUSED = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)

PARAMETERS: Final[dict[str, str]] = {
    "digest": "0" * 64,
    "day": NOW.date().isoformat(),
    "rule_id": next(iter(RULES)),
    "kind": "tcp",
    "level": "high",
    "panel_id": "cpu",
    "uidb36": "x",
    "key": "y-z",
    "token": "forged",
    "product": "nginx",
    "figure": "queue",
    "box": "note",
    "graph_id": "graph",
    "list_id": "list",
    "medium": "voice",
    "code": "dns-record",
    "name": "stop",
    "item": "root-login",
}
"""Values of parameters that are no id. A new one must be named here, or the walk says so."""

FAMILIES: Final = ("accidents", "service")
"""What `<family:family>` stands for: each of these addresses is walked once for every family of reports."""

FORMS: Final[dict[str, dict[str, object]]] = {
    "users/<int:pk>/role/": {"role": "customer_member"},
    "calendars/<int:pk>/copy/": {"customer": JIAS},
}
"""What must be sent for an address to look at its object at all."""

INBOX = "notify/inbox/<int:pk>/open/"
INBOX_ID = 2
"""A delivery goes to a channel or to a person, so the inbox has a specimen of its own, by this much further on."""


@dataclass(frozen=True)
class Address:
    """One route: the pattern as it is written, and a path that matches it with the ids of one customer."""

    pattern: str
    path: str

    @property
    def names_an_object(self) -> bool:
        return "<int:" in self.pattern

    @property
    def is_api(self) -> bool:
        return self.path.startswith("/api/")

    @property
    def methods(self) -> tuple[str, ...]:
        return API_METHODS if self.is_api else PAGE_METHODS

    @property
    def internal(self) -> "list[Address]":
        """The same address with one of its ids that of an object which the provider keeps to itself."""
        places = [found.span() for found in re.finditer(str(JIAS), self.path)]
        return [Address(self.pattern, f"{self.path[:start]}{JIAS + 1}{self.path[end:]}") for start, end in places]

    @property
    def of_nobody(self) -> "Address":
        """The same address with an id that no object has."""
        return Address(self.pattern, re.sub(r"\d{6}", "999999", self.path))


def every_address(pk: int = JIAS) -> list[Address]:
    """Every route of the URL configuration in force, leading to the objects with this id."""
    return [
        Address(one, "/" + filled(one, pk))
        for pattern, _route in _walk(get_resolver())
        for one in dict.fromkeys(pattern.replace("<family:family>", family) for family in FAMILIES)
    ]


def _walk(found: URLResolver, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for each in found.url_patterns:
        pattern = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _walk(each, pattern)
        else:
            yield pattern, each


@cache
def filled(pattern: str, pk: int) -> str:
    """A path that matches a pattern. Raises AssertionError, with what to do, for a parameter that it does not know."""

    def value(name: str, converter: str) -> str:
        if converter == "int":
            return str(pk + INBOX_ID if pattern == INBOX else pk)
        if name not in PARAMETERS:
            raise AssertionError(f"{pattern}: no value for <{converter}:{name}>; add one to PARAMETERS in {__file__}")
        return PARAMETERS[name]

    path = pattern.replace("(?P", "(")
    path = re.sub(r"<(?:(\w+):)?(\w+)>", lambda found: value(found[2], found[1] or "str"), path)
    path = re.sub(r"\((\w[\w-]*)[^()]*\)", r"\1", path)  # what is left of a regular expression around a value
    return path.replace("^", "").replace("$", "").replace("\\", "")


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    """Headers and body."""
    location: str
    written: frozenset[str]
    """The tables that it wrote to, but for those that only note who is there."""
    strays: tuple[str, ...]
    """Columns that point at another customer's row after it."""

    @property
    def is_broken(self) -> bool:
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def raw_words(self) -> list[str]:
        """Where a page shows what only Python calls so: None, True, False."""
        return _RAW.findall(_UNSEEN.sub(" ", self.text)) if "text/html" in self.text[:2000] else []


_UNSEEN = re.compile(r"<(script|style|svg)\b.*?</\1>", re.DOTALL)
_RAW = re.compile(r'>[^<>]*?\b(?:None|True|False)\b|\b(?:value|title|placeholder|aria-label)="[^"]*?\bNone\b')


def _streamed(response: Any) -> bytes:
    async def read() -> bytes:
        return b"".join([part async for part in response.streaming_content])

    return async_to_sync(read)() if response.is_async else b"".join(response.streaming_content)


PRESENCE = {"django_session", "usersessions_usersession"}


class Visitor:
    """A browser whose every request is undone again."""

    _writes: ClassVar[dict[str, int]] = {}  # of the test's one transaction, whoever writes in it

    def __init__(self, browser: Client, *, look_for_strays: str = "") -> None:
        self._browser = browser
        self._browser.raise_request_exception = False
        self._signed_in = browser.cookies.output(header="", sep=";")
        self._strays_sql = look_for_strays
        self._written()

    def ask(
        self,
        address: Address,
        method: str = "GET",
        *,
        query: str = "",
        form: Mapping[str, object] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        self._browser.cookies = SimpleCookie(self._signed_in)  # the last address may have been the one to sign out
        with transaction.atomic():
            if form is None:
                form = FORMS.get(address.pattern, {})
            response = self._response(address, method, query, form, headers)
            text = _streamed(response) if response.streaming else response.content
            written, strays = self._left_behind()
            transaction.set_rollback(True)
        body = " ".join(f"{name}: {value}" for name, value in response.items()) + text.decode("utf-8", "replace")
        return Answer(response.status_code, body, response.get("Location", ""), written, strays)

    def _response(
        self, address: Address, method: str, query: str, form: Mapping[str, object], headers: dict[str, str] | None
    ) -> Any:
        body, kind = "", "application/x-www-form-urlencoded"
        if address.is_api:
            body, kind = json.dumps(form), "application/json"
        elif method == "POST":
            body = urlencode(form, doseq=True)
        return self._browser.generic(
            method, address.path, body, content_type=kind, QUERY_STRING=query, headers=headers or {}
        )

    def _left_behind(self) -> tuple[frozenset[str], tuple[str, ...]]:
        try:
            written = self._written()
            return written, self._strays() if written and self._strays_sql else ()
        except DatabaseError:  # the request broke its transaction: its status says so, and nothing stays
            return frozenset(), ()

    def _strays(self) -> tuple[str, ...]:
        with scope.platform("look for strays"), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(self._strays_sql)
            return tuple(place for (place,) in cursor.fetchall())

    def _written(self) -> frozenset[str]:
        """The tables written to since we last looked; what was undone meanwhile counts as well."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables"
                " WHERE n_tup_ins + n_tup_upd + n_tup_del > 0"
            )
            now = dict(cursor.fetchall())
        before, Visitor._writes = Visitor._writes, now
        return frozenset(table for table, count in now.items() if count != before.get(table, 0)) - PRESENCE
