"""`/healthz`: says whether this process reaches what it needs, to anybody and about nothing else."""

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client

from accounts.postgres.base import DatabaseWrapper


def test_a_healthy_process_says_so_to_anybody(db: None) -> None:
    answer = Client().get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"postgres": True, "redis": True}
    assert "no-store" in answer["Cache-Control"]


def test_a_redis_that_does_not_answer_is_named(db: None, settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = Client().get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"postgres": True, "redis": False}


@pytest.mark.django_db(transaction=True)
def test_a_database_that_went_away_is_named() -> None:
    """The server ends our connection while we hold it, as it does when it shuts down."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (held,) = cursor.fetchone()
    other = DatabaseWrapper(connection.settings_dict, "other")
    with other.as_owner(), other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [held])
    other.close()
    answer = Client().get("/healthz")
    connection.close()
    assert answer.status_code == 503
    assert answer.json() == {"postgres": False, "redis": True}
    assert Client().get("/healthz").status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_it_can_only_be_asked(method: str, db: None) -> None:
    assert getattr(Client(), method)("/healthz").status_code == 405


def test_it_does_not_say_what_is_wrong_in_detail(db: None, settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://:a-password@127.0.0.1:1/0"
    assert b"password" not in Client().get("/healthz").content
