"""`manage.py flush` as the owner of the tables: the application's role may not truncate."""

from typing import Any

from django.core.management.commands import flush
from django.db import connections

from accounts import scope
from accounts.postgres.base import DatabaseWrapper


class Command(flush.Command):
    """Django's own flush, inside the owner's role."""

    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        assert isinstance(connection, DatabaseWrapper)  # noqa: S101 - the only engine of this project
        with connection.as_owner(), scope.platform("flush"):
            super().handle(**options)
