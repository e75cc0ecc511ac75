"""The connection that carries the customer scope into PostgreSQL (Django wants this module to be called `base`).

Every statement runs under the role `rdmp_app`, which owns nothing and cannot bypass row-level security, and under the
setting `rdmp.customers` that the row policies read. The setting follows the ContextVar statement by statement: it is
compared before each one and sent only when it differs, because one connection serves many requests and scopes nest.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from django.db.backends.postgresql import base as postgresql
from django.db.utils import OperationalError
from psycopg2 import errors, extensions

from accounts import scope

APP_ROLE = "rdmp_app"
MAINTENANCE_DATABASE = "postgres"

Execute = Callable[[str, Any, bool, dict[str, Any]], Any]


class DatabaseWrapper(postgresql.DatabaseWrapper):
    """PostgreSQL under the application's role, inside the current scope."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._owner_depth = 0
        self._applied: str | None = None
        self.execute_wrappers.append(self._apply_scope)

    def init_connection_state(self) -> None:
        super().init_connection_state()
        self._applied = None
        if not self._owner_depth and self.settings_dict["NAME"] not in (None, MAINTENANCE_DATABASE):
            self._set_role(APP_ROLE)

    @contextmanager
    def as_owner(self) -> Generator[None]:
        """Work as the role that owns the tables: for migrations and the installation of the policies only."""
        if self.connection is not None and not self._owner_depth:
            self._set_role(None)
        self._owner_depth += 1
        try:
            yield
        finally:
            self._owner_depth -= 1
            if self.connection is not None and not self._owner_depth:
                if self._takes_statements():
                    self._set_role(APP_ROLE)
                else:
                    self.close()  # the role cannot be set now, and a rollback may bring the owner's back

    def _set_role(self, role: str | None) -> None:
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("RESET ROLE" if role is None else f'SET ROLE "{role}"')
        except errors.InvalidParameterValue:  # never as the owner instead: no policy would hold
            raise OperationalError(f"The role {role} does not exist: run `manage.py migrate` first.") from None

    def _apply_scope(self, execute: Execute, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        self._follow_scope()
        return execute(sql, params, many, context)

    def _cursor(self, name: str | None = None) -> Any:
        cursor = super()._cursor(name)  # type: ignore[misc]  # private in the stubs
        self._follow_scope()  # COPY is a method of the driver's cursor, which no wrapper sees
        return cursor

    def _follow_scope(self) -> None:
        current = scope.current()
        wanted = current.setting if current else ""
        if wanted != self._applied and self._takes_statements():
            with self.wrap_database_errors, self.connection.cursor() as cursor:
                cursor.execute("SELECT set_config('rdmp.customers', %s, false)", [wanted])
            self._applied = wanted

    # A rolled back transaction takes the setting back with it: what was applied is unknown afterwards. PostgreSQL
    # answers COMMIT with a rollback, and no error, when a statement of the transaction has failed.

    def _takes_statements(self) -> bool:
        """False on a broken connection and in a transaction that has failed: it takes nothing but a rollback."""
        return self.connection.info.transaction_status in (
            extensions.TRANSACTION_STATUS_IDLE,
            extensions.TRANSACTION_STATUS_INTRANS,
        )

    def _commit(self) -> None:
        if self.connection is not None and not self._takes_statements():
            self._applied = None
        super()._commit()  # type: ignore[misc]  # private in the stubs

    def _rollback(self) -> None:
        self._applied = None
        super()._rollback()  # type: ignore[misc]  # private in the stubs

    def _savepoint_rollback(self, sid: str) -> None:
        super()._savepoint_rollback(sid)  # type: ignore[misc]  # private in the stubs
        self._applied = None
