"""`manage.py migrate` as the owner of the tables, followed by the grants and the row policies."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from accounts import row_security, scope
from accounts.postgres.base import DatabaseWrapper


class Command(migrate.Command):
    """Django's own migrate, inside the owner's role."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        connection = connections[options["database"]]
        assert isinstance(connection, DatabaseWrapper)  # noqa: S101 - the only engine of this project
        with connection.as_owner(), scope.platform("migrate"):  # the checks before it connect, too
            return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        assert isinstance(connection, DatabaseWrapper)  # noqa: S101 - the only engine of this project
        super().handle(*args, **options)
        if not options["check_unapplied"] and not options["plan"]:
            row_security.install(connection)
