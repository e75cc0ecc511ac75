"""The scope: no rows without one, and the database follows it through everything a connection goes through."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from typing import Any, get_type_hints

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.apps import apps
from django.conf import LazySettings
from django.core.exceptions import ObjectDoesNotExist
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.db import DEFAULT_DB_ALIAS, DatabaseError, IntegrityError, connection, models, transaction
from django.db.utils import OperationalError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory
from simple_history.models import HistoricalChanges

from accounts import scope
from accounts.errors import DomainError
from accounts.middleware import ScopeMiddleware
from accounts.models import BusinessCalendar, Contract, Customer, User
from accounts.postgres.base import APP_ROLE, DatabaseWrapper
from accounts.scope import ScopeRequired
from assets.models import Asset
from rdmp.celery import app
from tests.conftest import NOW, ClientFor

Execution = Callable[[], object]
Communicator: Any = ApplicationCommunicator  # without types
OWN_APPS = {config.label for config in apps.get_app_configs() if "site-packages" not in config.path}
SCOPED = [
    model
    for model in apps.get_models(include_auto_created=True)
    if {"customer", "accounts.Customer"} & {model._meta.label, *(field.name for field in model._meta.local_fields)}
    and not issubclass(model, HistoricalChanges)
]


def seen() -> set[str]:
    """The codes of the customers that raw SQL finds: what the database believes the scope to be."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT code FROM accounts_customer")
        return {code for (code,) in cursor.fetchall()}


def without_scope(call: Execution) -> object:
    """Run something in an empty context, as a fresh worker or command line does."""
    return contextvars.Context().run(call)


# --- the manager ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", SCOPED, ids=lambda model: model._meta.label)
def test_a_model_of_customers_cannot_be_asked_without_a_scope(model: type[models.Model]) -> None:
    with pytest.raises(ScopeRequired):
        model._default_manager.all()
    with pytest.raises(ScopeRequired):
        model._default_manager.create()


def test_a_scope_ends_with_its_block_even_when_that_fails(jia: Customer) -> None:
    with pytest.raises(ZeroDivisionError), scope.customer(jia):
        raise ZeroDivisionError
    assert scope.current() is None
    with pytest.raises(ScopeRequired):
        scope.required()


def test_a_platform_scope_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="reason"), scope.platform(""):
        pass


def test_people_reach_what_their_role_says(
    jia: Customer, yi: Customer, alice: User, vera: User, eve: User, chen: User, lin: User, root: User
) -> None:
    assert scope.of(alice).customer_ids == scope.of(vera).customer_ids == frozenset({jia.pk})
    assert scope.of(eve).customer_ids == frozenset({yi.pk})
    assert scope.of(chen).customer_ids == frozenset({jia.pk, yi.pk})
    assert scope.of(lin).customer_ids is scope.of(root).customer_ids is None


def test_a_person_without_access_reaches_nobody(jia: Customer, lin: User, alice: User) -> None:
    for person in (lin, alice):
        person.is_active = False
        with scope.user(person):
            assert seen() == set()
            assert not Customer.objects.exists()


def test_an_engineer_without_assignment_reaches_nobody(jia: Customer, chen: User) -> None:
    with scope.platform("test"):
        chen.assignments.all().delete()
    with scope.user(chen):
        assert seen() == set()


def test_rows_of_the_platform_are_read_in_every_scope_and_written_in_none_but_its_own(jia: Customer) -> None:
    with scope.platform("test"):
        shared = BusinessCalendar.objects.create(name="everybody's")
    with scope.customer(jia):
        assert BusinessCalendar.objects.filter(pk=shared.pk).exists()
        assert BusinessCalendar.objects.filter(pk=shared.pk).update(name="mine") == 0
        with pytest.raises(DatabaseError), transaction.atomic():
            BusinessCalendar.objects.create(name="another")


def test_rows_asked_for_again_are_read_again(jia: Customer, yi: Customer) -> None:
    """Managers keep the condition of a scope, never its rows."""
    for customer in (jia, yi, jia):
        with scope.customer(customer):
            before = list(Asset.objects.all())
            added = Asset.objects.create(
                customer=customer, kind="server", name=f"a{len(before)}", created_at=NOW, changed_at=NOW
            )
            assert list(Asset.objects.order_by("pk")) == [*before, added]
            assert {asset.customer_id for asset in before} <= {customer.pk}


# --- the connection -------------------------------------------------------------------------------------------------


def test_the_database_follows_nested_scopes_statement_by_statement(jia: Customer, yi: Customer) -> None:
    assert seen() == set()
    with scope.customer(jia):
        assert seen() == {"jia"}
        with scope.platform("inside"):
            assert seen() == {"jia", "yi"}
            with scope.customer(yi):
                assert seen() == {"yi"}
            assert seen() == {"jia", "yi"}
        assert seen() == {"jia"}
    assert seen() == set()


def test_a_rollback_to_a_savepoint_does_not_bring_an_older_scope_back(jia: Customer, yi: Customer) -> None:
    with scope.platform("before"):
        assert seen() == {"jia", "yi"}
    with scope.customer(jia):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            assert seen() == {"jia"}
            raise ZeroDivisionError
        assert seen() == {"jia"}


def test_a_failed_statement_inside_a_savepoint_leaves_the_scope_in_force(jia: Customer, yi: Customer) -> None:
    with scope.platform("before"):
        seen()
    with scope.customer(jia):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        assert seen() == {"jia"}


def test_a_failed_statement_in_an_inner_scope_does_not_leave_the_outer_one_in_its_place(
    jia: Customer, yi: Customer
) -> None:
    with scope.platform("outer"):
        with pytest.raises(DatabaseError), transaction.atomic(), scope.customer(jia), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        with scope.customer(jia):
            assert seen() == {"jia"}
        assert seen() == {"jia", "yi"}


def test_a_savepoint_of_an_outer_scope_that_is_rolled_back_in_an_inner_one_leaves_the_inner_one(
    jia: Customer, yi: Customer
) -> None:
    with scope.platform("outer"):
        savepoint = transaction.savepoint()
        with scope.customer(jia):
            assert seen() == {"jia"}
            transaction.savepoint_rollback(savepoint)
            assert seen() == {"jia"}


def test_leaving_a_scope_after_a_failed_statement_hides_no_error(jia: Customer) -> None:
    with pytest.raises(DatabaseError, match="division by zero"), transaction.atomic(), scope.customer(jia):
        seen()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
    with scope.customer(jia):
        assert seen() == {"jia"}


@pytest.mark.django_db(transaction=True)
class TestRealTransactions:
    """What a test inside one big transaction cannot show."""

    def test_a_rolled_back_transaction_does_not_bring_an_older_scope_back(self, jia: Customer, yi: Customer) -> None:
        with scope.platform("before"):
            seen()
        with scope.customer(jia):
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                seen()
                raise ZeroDivisionError
            assert seen() == {"jia"}

    def test_a_commit_that_fails_does_not_bring_an_older_scope_back(self, jia: Customer, yi: Customer) -> None:
        with scope.platform("before"):
            seen()
        with scope.customer(jia):
            with pytest.raises(IntegrityError), transaction.atomic():  # foreign keys are checked at the commit
                Contract.objects.filter(customer=jia).update(customer_id=jia.pk)
                with connection.cursor() as cursor:
                    cursor.execute("UPDATE accounts_slaterm SET contract_id = -1")
                assert seen() == {"jia"}
            assert seen() == {"jia"}

    def test_a_commit_that_is_silently_a_rollback_does_not_either(self, jia: Customer, yi: Customer) -> None:
        with scope.platform("before"):
            seen()
        with scope.customer(jia):
            with transaction.atomic():
                assert seen() == {"jia"}
                with contextlib.suppress(DatabaseError), connection.cursor() as cursor:  # the mistake: no savepoint
                    cursor.execute("SELECT 1 / 0")
            assert seen() == {"jia"}

    def test_a_new_connection_works_under_the_role_and_in_the_scope(self, jia: Customer, yi: Customer) -> None:
        with scope.customer(jia):
            assert seen() == {"jia"}
            connection.close()
            assert seen() == {"jia"}
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_user::text")
                assert cursor.fetchone() == (APP_ROLE,)
        connection.close()
        assert seen() == set()

    def test_a_connection_that_the_server_cut_comes_back_inside_the_scope(self, jia: Customer, yi: Customer) -> None:
        with scope.customer(jia):
            with connection.as_owner(), pytest.raises(OperationalError), connection.cursor() as cursor:  # type: ignore[attr-defined]  # our own wrapper
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            connection.close_if_unusable_or_obsolete()
            assert seen() == {"jia"}

    def test_a_thread_begins_without_scope_and_without_rows(self, jia: Customer) -> None:
        found: list[object] = []

        def look() -> None:
            found.extend([scope.current(), seen()])
            connection.close()

        with scope.customer(jia):
            assert seen() == {"jia"}
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        assert found == [None, set()]

    def test_fifty_tasks_that_share_connections_never_see_each_other(self, jia: Customer, yi: Customer) -> None:
        async def visit(customer: Customer, wait: float, *, shared_thread: bool) -> list[set[str]]:
            found = []
            with scope.customer(customer):
                for _round in range(6):
                    found.append(await sync_to_async(look, thread_sensitive=shared_thread)())
                    await asyncio.sleep(wait)
            return found

        def look() -> set[str]:
            with transaction.atomic():
                found = seen() | {customer.code for customer in Customer.objects.all()}
            if threading.current_thread() is not threading.main_thread():
                connection.close()
            return found

        async def everybody() -> list[tuple[str, list[set[str]]]]:
            visits = [(jia if number % 2 else yi, number % 5 / 2000, number % 3 > 0) for number in range(50)]
            found = await asyncio.gather(*(visit(who, wait, shared_thread=own) for who, wait, own in visits))
            return [(who.code, seen) for (who, _wait, _own), seen in zip(visits, found, strict=True)]

        for code, found in async_to_sync(everybody)():
            assert found == [{code}] * 6

    def test_a_websocket_of_nobody_is_refused_and_one_of_a_person_is_in_their_scope(
        self, alice: User, client_for: ClientFor
    ) -> None:
        application = import_module(
            "rdmp.asgi"
        ).application  # here, because it looks into the database when it is loaded

        async def connect(cookie: str) -> dict[str, Any]:
            headers = [(b"origin", b"http://testserver"), (b"cookie", cookie.encode())]
            socket: Any = Communicator(application, {"type": "websocket", "path": "/ws/live/", "headers": headers})
            await socket.send_input({"type": "websocket.connect"})
            answer: dict[str, Any] = await socket.receive_output()
            if not cookie:
                answer = await socket.receive_output()
            await socket.send_input({"type": "websocket.disconnect", "code": 1000})
            await socket.wait()
            return answer

        assert async_to_sync(connect)("") == {"type": "websocket.close", "code": 4401}
        browser = client_for(alice)
        cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items())
        assert async_to_sync(connect)(cookie)["type"] == "websocket.accept"


def test_a_server_side_cursor_keeps_the_scope_in_which_it_was_opened(jia: Customer, yi: Customer) -> None:
    found = []
    with scope.platform("walk through all of them"), transaction.atomic():
        for customer in Customer.objects.order_by("code").iterator(chunk_size=1):
            with scope.customer(customer):
                found.append((customer.code, seen()))
    assert found == [("jia", {"jia"}), ("yi", {"yi"})]


def test_without_the_role_there_is_no_work_as_the_owner_instead(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database restored into a new cluster has no role of that name: better no answer than one without the wall."""
    monkeypatch.setattr("accounts.postgres.base.APP_ROLE", "rdmp_nobody")
    other = DatabaseWrapper(connection.settings_dict, DEFAULT_DB_ALIAS)
    with pytest.raises(OperationalError, match="migrate"):
        other.ensure_connection()
    other.close()


def test_a_failure_while_owner_never_leaves_the_connection_the_owners(jia: Customer) -> None:
    other = DatabaseWrapper(connection.settings_dict, DEFAULT_DB_ALIAS)
    with pytest.raises(DatabaseError), other.as_owner(), other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 / 0")
    with other.cursor() as cursor:
        cursor.execute("SELECT current_user::text")
        assert cursor.fetchone() == (APP_ROLE,)
    other.close()


# --- entries --------------------------------------------------------------------------------------------------------


def request_of(person: User) -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = person
    request.session = {"seen_at": 1e12}  # type: ignore[assignment]  # as much of a session as is read
    return request


def body_of(response: Any) -> str:
    return b"".join(response.streaming_content).decode()


def test_a_streaming_answer_keeps_the_scope_of_its_request(jia: Customer, yi: Customer, alice: User) -> None:
    def lines() -> Iterator[str]:
        yield ",".join(sorted(seen()))
        yield "|" + ",".join(customer.code for customer in Customer.objects.all())

    response = ScopeMiddleware(lambda request: StreamingHttpResponse(lines()))(request_of(alice))
    assert scope.current() is None
    assert body_of(response) == "jia|jia"
    assert scope.current() is None


def test_a_stream_does_not_lend_its_scope_to_who_reads_it(jia: Customer, yi: Customer, alice: User, eve: User) -> None:
    def lines() -> Iterator[str]:
        for _ in range(3):
            yield ",".join(seen())

    of_alice = ScopeMiddleware(lambda request: StreamingHttpResponse(lines()))(request_of(alice))
    of_eve = ScopeMiddleware(lambda request: StreamingHttpResponse(lines()))(request_of(eve))
    found = []
    for one, other in zip(of_alice, of_eve, strict=True):
        found.append((one, seen(), other))
    assert found == [(b"jia", set(), b"yi")] * 3


def test_an_asynchronous_stream_keeps_the_scope_too(jia: Customer, yi: Customer, alice: User) -> None:
    async def lines() -> AsyncIterator[str]:
        for _ in range(2):
            yield ",".join(await sync_to_async(seen)())

    response = ScopeMiddleware(lambda request: StreamingHttpResponse(lines()))(request_of(alice))

    async def read() -> list[bytes]:
        return [chunk async for chunk in response]  # type: ignore[attr-defined]  # a stream is iterable

    assert async_to_sync(read)() == [b"jia", b"jia"]


def test_nobody_signed_in_means_no_scope(db: None) -> None:
    request = RequestFactory().get("/")
    request.user = None  # type: ignore[assignment]  # as good as anonymous
    response = ScopeMiddleware(lambda request: HttpResponse(str(scope.current())))(request)
    assert response.content == b"None"  # type: ignore[attr-defined]  # a plain response


@pytest.mark.parametrize("how", ["query", "header", "cookie", "host"])
def test_the_scope_comes_from_the_person_and_from_nothing_that_is_sent(
    how: str, jia: Customer, yi: Customer, eve: User
) -> None:
    request = request_of(eve)
    sent = {
        "query": {"QUERY_STRING": f"customer={jia.pk}&oid={jia.pk}&scope=*"},
        "header": {"HTTP_X_CUSTOMER": str(jia.pk), "HTTP_X_RDMP_ORG": str(jia.pk)},
        "cookie": {"HTTP_COOKIE": f"customer={jia.pk}; org={jia.pk}"},
        "host": {"HTTP_HOST": "jia.localhost"},
    }
    request.META.update(sent[how])
    response = ScopeMiddleware(lambda request: HttpResponse(",".join(seen())))(request)
    assert response.content == b"yi"  # type: ignore[attr-defined]  # a plain response


app.autodiscover_tasks(force=True)
PERIODIC = sorted(
    name
    for name, task in app.tasks.items()
    if task.__module__.partition(".")[0] in OWN_APPS and "due_at" not in task.run.__annotations__
)
"""Every task of the project but those that timers wake: these run inside the scope of their timer."""


@pytest.mark.parametrize("name", PERIODIC)
def test_a_task_opens_its_own_scope(name: str, jia: Customer) -> None:
    run = app.tasks[name].run
    values = {
        int: 0,
        str: NOW.isoformat(),
        float: 0.0,
        bool: False,
        list[int]: [],
        dict[str, Any]: {},
        list[tuple[int, str, list[int], str]]: [],
    }
    args = {arg: values[kind] for arg, kind in get_type_hints(run).items() if arg != "return"}
    # there is no object 0; a missing scope is none of these
    with contextlib.suppress(LookupError, DomainError, ObjectDoesNotExist):
        without_scope(lambda: run(**args))


def test_there_are_tasks_to_try() -> None:
    assert {"timers.sweep", "timers.fire", "accounts.housekeeping", "accounts.mail_invitation"} <= set(PERIODIC)


NOT_TRIED = {
    "flush": "empties the database",
    "migrate": "has run: it made this database",
    "demo": "takes seconds: tests/demo",
}
COMMANDS = sorted(name for name, app in get_commands().items() if str(app) in OWN_APPS and name not in NOT_TRIED)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_opens_its_own_scope(name: str, jia: Customer, settings: LazySettings) -> None:
    """Each command is called with the first choice of each argument that it needs, or else an address of nobody."""
    settings.DEMO = False
    command = load_command_class(get_commands()[name], name)
    actions = command.create_parser("manage.py", name)._actions
    needed = [next(iter(action.choices or ["nobody@example.com"])) for action in actions if action.required]
    with contextlib.suppress(CommandError):  # said to the person at the keyboard; a missing scope is no CommandError
        without_scope(lambda: call_command(name, *needed))
