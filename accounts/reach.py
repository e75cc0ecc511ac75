"""The condition that keeps an ORM query to the customers of a scope."""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Lookup
from django.db.models.sql.compiler import SQLCompiler


class AmongIds(Lookup):
    """`column = ANY ('{1,2,3}')`: one parameter for all of them.

    Django's own `__in` looks at each value anew for every query that it builds, and a page builds one for each row's
    relations: for an engineer of 200 customers that was half of the time that a board took.
    """

    prepare_rhs = False
    output_field = BooleanField()  # Django would make one for each query

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[str | int, ...]]:
        column, params = self.process_lhs(compiler, connection)
        return f"{column} = ANY (%s::bigint[])", (*params, str(self.rhs))


def within(customers: str, column: str) -> AmongIds:
    """True for rows whose `column` is one of the `customers`, numbers as `Scope.setting` has them ("1,2,3")."""
    return AmongIds(F(column), f"{{{customers}}}")
