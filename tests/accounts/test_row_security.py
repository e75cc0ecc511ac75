"""The wall inside PostgreSQL, tried on every table with every kind of statement; new tables cover themselves."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, models, transaction
from django.db.utils import ProgrammingError
from psycopg2 import errors

from accounts import row_security, scope
from accounts.models import Customer
from accounts.postgres.base import APP_ROLE
from accounts.row_security import Table
from tests.conftest import NOW

TABLES = {table.name: table for table in row_security.tables()}
MODELS = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
WITHOUT_CUSTOMER = {
    "django_content_type": "names of models",
    "django_migrations": "names of migrations",
    "auth_group": "unused: roles stand on the person",
    "auth_group_permissions": "unused",
    "auth_permission": "names of rights, unused",
    "django_session": "signed-in browsers: found by a random key only",
    "monitoring_platformfigure": "figures of the platform itself, for administrators",
    "monitoring_platformtrouble": "what is wrong with the platform itself, for administrators",
    "account_emailconfirmation": "unused: the invitation proves the address",
}
DEFINER_FUNCTIONS = {
    "samples.make_day",
    "samples.hold_day",
    "samples.drop_empty_days_before",
    "bastion_commands_with",
    "bastion_files_with",
}


@pytest.fixture
def jia(db: None) -> Customer:
    return bare_customer("jia")


@pytest.fixture
def yi(db: None) -> Customer:
    return bare_customer("yi")


def bare_customer(code: str) -> Customer:
    with scope.platform("test"):
        return Customer.objects.create(name=code, short_name=code, code=code, created_at=NOW)


def rows_of(sql: str, *params: int | str | None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def touched_by(sql: str, *params: int | str | None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


@contextmanager
def refused() -> Iterator[None]:
    """PostgreSQL says "permission denied" or "violates row-level security policy" (SQLSTATE 42501) and nothing else."""
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        yield
    assert getattr(caught.value.__cause__, "pgcode", None) == "42501", caught.value


def disarm(table: str) -> None:
    """Take every rule off a table but the wall, so that rows need nothing but a customer. Rolled back with the test."""
    with connection.as_owner(), connection.cursor() as cursor:  # type: ignore[attr-defined]  # our own wrapper
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype IN ('c', 'f')", [table]
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')
        cursor.execute(
            "SELECT attname FROM pg_attribute LEFT JOIN pg_index ON indrelid = attrelid AND indisprimary"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND attnotnull AND NOT attisdropped"
            " AND NOT attnum = ANY (coalesce(indkey::int2[], '{}'))",
            [table],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{name}" DROP NOT NULL')
        cursor.execute(
            "SELECT indexrelid::regclass::text FROM pg_index"
            " WHERE indrelid = %s::regclass AND indisunique AND NOT indisprimary",
            [table],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT IF EXISTS "{name}"')
            cursor.execute(f'DROP INDEX IF EXISTS "{name}"')


def insert(table: Table, customer_id: int | None, number: int) -> None:
    """A bare row of a customer; a primary key that does not fill itself takes `number`."""
    key = MODELS[table.name]._meta.pk
    columns: list[str | None] = [table.column]
    values = [customer_id]
    if not isinstance(key, models.AutoField) and key.column != table.column:
        columns, values = [*columns, key.column], [*values, number]
    names = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(f'INSERT INTO "{table.name}" ({names}) VALUES ({", ".join(["%s"] * len(values))})', values)


@pytest.fixture(params=sorted(TABLES))
def table(request: pytest.FixtureRequest, jia: Customer, yi: Customer) -> Table:
    """Each tenant-owned table in turn, with two rows of jia and one of yi."""
    found = TABLES[request.param]
    disarm(found.name)
    if found.name != Customer._meta.db_table:
        with scope.platform("test rows"):
            for number, owner in enumerate((jia, jia, yi), start=900_001):
                insert(found, owner.pk, number)
    return found


@pytest.fixture
def jias(table: Table, jia: Customer) -> Callable[[], list[tuple[Any, ...]]]:
    """Everything jia has in the table, versions of rows included: any statement that touched one shows."""

    def state() -> list[tuple[Any, ...]]:
        with scope.platform("compare"):
            return rows_of(
                f'SELECT ctid::text, xmin, to_jsonb(t) FROM "{table.name}" t WHERE "{table.column}" = %s ORDER BY 1',
                jia.pk,
            )

    assert state(), "nothing to protect"
    return state


def test_many_customers_are_looked_up_not_compared_one_by_one(jia: Customer, yi: Customer) -> None:
    with scope.entered(scope.Scope(frozenset({jia.pk, yi.pk}), "an engineer")):
        for name in TABLES:
            assert "hashed SubPlan" in str(rows_of(f'EXPLAIN SELECT count(*) FROM "{name}"')), name


def test_no_statement_reads_across_the_wall(table: Table, jia: Customer, yi: Customer) -> None:
    name, column = f'"{table.name}"', f'"{table.column}"'
    reading = {
        "plainly": f"SELECT {column} FROM {name}",
        "asking for it": f"SELECT {column} FROM {name} WHERE {column} = {jia.pk}",
        "with OR": f"SELECT {column} FROM {name} WHERE {column} = {yi.pk} OR true",
        "by a join": f"SELECT b.{column} FROM {name} a JOIN {name} b ON true",
        "by an outer join": f"SELECT b.{column} FROM accounts_customer a RIGHT JOIN {name} b ON true",
        "in a CTE": f"WITH c AS MATERIALIZED (SELECT * FROM {name}) SELECT {column} FROM c",
        "in a subquery": f"SELECT (SELECT max({column}) FROM {name} WHERE {column} = {jia.pk})",
        "by EXISTS": f"SELECT {jia.pk} WHERE EXISTS (SELECT 1 FROM {name} WHERE {column} = {jia.pk})",
        "by UNION": f"SELECT {yi.pk} UNION ALL SELECT {column} FROM {name}",
        "by a function in the filter": f"SELECT {column} FROM {name} WHERE {column}::text || '' <> 'x'",
        "by a window": f"SELECT first_value({column}) OVER (ORDER BY {column}) FROM {name}",
        "by TABLE": f"SELECT (t).{column} FROM (TABLE {name}) t",
    }  # fmt: skip
    locking = {} if table.append_only else {"to lock": f"SELECT {column} FROM {name} FOR UPDATE"}
    with scope.customer(yi):
        for how, sql in {**reading, **locking}.items():
            assert jia.pk not in {value for (value,) in rows_of(sql)}, how
        assert rows_of(f"SELECT count(*) FROM {name} WHERE {column} = %s", jia.pk) == [(0,)]
        assert yi.pk in {value for (value,) in rows_of(reading["plainly"])}


def test_without_scope_raw_sql_sees_no_row_and_writes_none(
    table: Table, jias: Callable[[], object], jia: Customer
) -> None:
    before = jias()
    assert rows_of(f'SELECT * FROM "{table.name}"') == []
    if not table.append_only:
        assert touched_by(f'DELETE FROM "{table.name}"') == 0
        assert touched_by(f'UPDATE "{table.name}" SET "{table.column}" = "{table.column}"') == 0
    with refused():
        insert(table, jia.pk, 900_004)
    assert jias() == before


def test_no_statement_writes_across_the_wall(
    table: Table, jias: Callable[[], object], jia: Customer, yi: Customer
) -> None:
    name, column = f'"{table.name}"', f'"{table.column}"'
    before = jias()
    with scope.customer(yi):
        if table.append_only:
            for sql in (f"UPDATE {name} SET {column} = {column}", f"DELETE FROM {name}"):
                with refused():
                    touched_by(sql)
        else:
            mine = len(rows_of(f"SELECT 1 FROM {name} WHERE {column} = %s", yi.pk))
            assert touched_by(f"UPDATE {name} SET {column} = {column} WHERE {column} = %s", jia.pk) == 0
            assert touched_by(f"UPDATE {name} SET {column} = {column}") == mine
            assert touched_by(f"DELETE FROM {name} WHERE {column} = %s", jia.pk) == 0
            assert touched_by(f"DELETE FROM {name} USING {name} other WHERE {name}.{column} = {jia.pk}") == 0
            with refused():
                touched_by(f"UPDATE {name} SET {column} = %s", jia.pk)
            with refused():
                touched_by(f"UPDATE {name} SET {column} = NULL")
        with refused():
            insert(table, jia.pk, 900_004)
        with refused():
            touched_by(f"TRUNCATE {name} CASCADE")
    assert jias() == before


def test_rows_copied_from_own_rows_stay_on_their_side(
    table: Table, jias: Callable[[], object], jia: Customer, yi: Customer
) -> None:
    key = MODELS[table.name]._meta.pk
    before = jias()
    columns, chosen = f'"{table.column}"', str(jia.pk)
    if not isinstance(key, models.AutoField) and key.column != table.column:
        columns, chosen = f'{columns}, "{key.column}"', f"{chosen}, 900004"
    with scope.customer(yi):
        with refused():
            touched_by(f'INSERT INTO "{table.name}" ({columns}) SELECT {chosen} FROM "{table.name}" LIMIT 1')
        with refused():
            touched_by(f'WITH new AS (INSERT INTO "{table.name}" ({columns}) SELECT {chosen} RETURNING 1) TABLE new')
    assert jias() == before


@pytest.mark.parametrize("table", [name for name, table in TABLES.items() if table.column != "id"], indirect=True)
def test_rows_without_customer_are_added_by_the_platform_alone(table: Table, yi: Customer) -> None:
    with scope.customer(yi), refused():
        insert(table, None, 900_004)
    with scope.platform("test"):
        insert(table, None, 900_005)
    with scope.customer(yi):
        seen = rows_of(f'SELECT 1 FROM "{table.name}" WHERE "{table.column}" IS NULL')
        assert bool(seen) == table.shared
        if not table.append_only:
            assert touched_by(f'DELETE FROM "{table.name}" WHERE "{table.column}" IS NULL') == 0
    assert rows_of(f'SELECT 1 FROM "{table.name}"') == []


def test_copy_out_holds_own_rows_and_copy_in_is_refused(table: Table, jia: Customer, yi: Customer) -> None:
    """COPY is a method of the driver's cursor and passes no wrapper of Django's."""
    paper = io.StringIO()
    with scope.platform("what was applied last"):
        rows_of("SELECT 1")
    with scope.customer(yi), connection.cursor() as cursor:
        cursor.copy_expert(f'COPY (SELECT "{table.column}" FROM "{table.name}") TO STDOUT', paper)
    assert str(jia.pk) not in paper.getvalue().split()
    assert str(yi.pk) in paper.getvalue().split()
    with scope.platform("COPY FROM knows no policies"), transaction.atomic(), connection.cursor() as cursor:
        with pytest.raises(errors.FeatureNotSupported):
            cursor.copy_expert(f'COPY "{table.name}" ("{table.column}") FROM STDIN', io.StringIO(f"{jia.pk}\n"))
        transaction.set_rollback(True)


def test_the_orm_is_held_by_the_wall_even_past_its_own_scope(
    table: Table, jias: Callable[[], object], jia: Customer, yi: Customer
) -> None:
    """`_base_manager` filters nothing: what it hands out is what PostgreSQL lets through."""
    model = MODELS[table.name]
    rows = model._base_manager.all()
    field = "pk" if table.column == "id" else "customer"
    before = jias()
    with scope.customer(yi):
        assert not rows.filter(**{field: jia.pk}).exists()
        assert model._default_manager.filter(**{field: jia.pk}).count() == 0
        with refused():
            if field == "pk":
                model._base_manager.bulk_create([model(pk=jia.pk + 1000)])
            elif isinstance(model._meta.pk, models.AutoField):
                model._base_manager.bulk_create([model(customer_id=jia.pk)])
            else:
                model._base_manager.bulk_create([model(pk=900_004, customer_id=jia.pk)])
        if not table.append_only:
            assert rows.filter(**{field: jia.pk}).update(**{table.column: models.F(table.column)}) == 0
            assert rows.filter(**{field: jia.pk})._raw_delete(rows.db) == 0
    assert jias() == before


def test_a_scope_of_several_customers_reaches_just_them(table: Table, jia: Customer, yi: Customer) -> None:
    both = scope.Scope(frozenset({jia.pk, yi.pk}), "test")
    nobody = scope.Scope(frozenset(), "test")
    sql = f'SELECT DISTINCT "{table.column}" FROM "{table.name}" WHERE "{table.column}" IS NOT NULL'
    with scope.entered(both):
        assert {value for (value,) in rows_of(sql)} == {jia.pk, yi.pk}
    with scope.entered(nobody):
        assert rows_of(sql) == []


# --- what stands in the database ------------------------------------------------------------------------------------

COMMANDS = {"rdmp_read": "SELECT", "rdmp_add": "INSERT", "rdmp_change": "UPDATE", "rdmp_remove": "DELETE"}
READABLE = f"has_table_privilege('{APP_ROLE}', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')"


@pytest.mark.django_db
def test_every_table_with_a_customer_has_its_four_policies_or_is_shut_to_the_application() -> None:
    found = rows_of(
        f"""SELECT n.nspname || '.' || c.relname, c.relrowsecurity, {READABLE},
               (SELECT coalesce(json_object_agg(policyname, cmd), '{{}}') FROM pg_policies p
                WHERE p.schemaname = n.nspname AND p.tablename = c.relname)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'customer_id' AND NOT a.attisdropped
            WHERE c.relkind IN ('r', 'p', 'f', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"""
    )
    assert len(found) >= len(TABLES) - 1
    unguarded = [name for name, guarded, open_, rules in found if open_ and not (guarded and rules == COMMANDS)]
    assert not unguarded, f"no row-level security on {unguarded}"


@pytest.mark.django_db
def test_every_table_of_the_customers_is_known_to_the_installation() -> None:
    found = rows_of(
        "SELECT table_name FROM information_schema.columns"
        " WHERE column_name = 'customer_id' AND table_schema = 'public'"
    )
    assert {name for (name,) in found} | {"accounts_customer"} == set(TABLES)


@pytest.mark.django_db
def test_every_other_table_is_named_here_with_the_reason() -> None:
    found = rows_of(
        "SELECT c.relname FROM pg_class c"
        f" WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND {READABLE}"
    )
    unexplained = {name for (name,) in found} - set(TABLES) - set(row_security.IDENTITY_TABLES) - set(WITHOUT_CUSTOMER)
    assert not unexplained, f"give {unexplained} a customer, or a reason to have none"


@pytest.mark.django_db
def test_views_filter_before_anything_else_may_look() -> None:
    found = rows_of(
        f"""SELECT c.oid::regclass::text, coalesce(c.reloptions, '{{}}') FROM pg_class c
            WHERE c.relkind = 'v' AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
            AND {READABLE}"""
    )
    open_ones = [
        name for name, options in found if not {"security_barrier=true", "security_invoker=true"} & set(options)
    ]
    assert not open_ones


@pytest.mark.django_db
def test_the_applications_role_owns_nothing_and_cannot_step_over_the_wall() -> None:
    assert rows_of("SELECT current_user::text") == [(APP_ROLE,)]
    powers = "rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication"
    assert rows_of(f"SELECT {powers} FROM pg_roles WHERE rolname = %s", APP_ROLE) == [(False,) * 6]
    owned = "SELECT oid::regclass::text FROM pg_class WHERE relowner = %s::regrole"
    assert rows_of(owned, APP_ROLE) == []
    assert rows_of("SELECT roleid FROM pg_auth_members WHERE member = %s::regrole", APP_ROLE) == []
    assert rows_of("SELECT has_schema_privilege(%s, 'public', 'CREATE')", APP_ROLE) == [(False,)]
    for statement in (
        'ALTER TABLE "accounts_contract" DISABLE ROW LEVEL SECURITY',
        'DROP POLICY "rdmp_read" ON "accounts_contract"',
        "CREATE TABLE public.mine (id int)",
        "INSERT INTO django_migrations (app, name, applied) VALUES ('x', 'x', now())",
    ):
        with pytest.raises(ProgrammingError), transaction.atomic():
            touched_by(statement)


@pytest.mark.django_db
def test_functions_that_act_as_the_owner_are_few_and_pinned_to_their_schema() -> None:
    found = rows_of(
        "SELECT p.oid::regproc::text, coalesce(p.proconfig, '{}') FROM pg_proc p"
        " WHERE p.prosecdef AND p.pronamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')"
    )
    assert {name for name, _settings in found} <= DEFINER_FUNCTIONS
    assert all(any(setting.startswith("search_path=") for setting in settings) for _name, settings in found)


@pytest.mark.django_db
def test_installing_again_changes_nothing() -> None:
    sql = "SELECT tablename, policyname, cmd, qual, with_check FROM pg_policies ORDER BY 1, 2"
    before = rows_of(sql)
    row_security.install(connection)  # type: ignore[arg-type]  # our own wrapper
    assert rows_of(sql) == before
    assert rows_of("SELECT current_user::text") == [(APP_ROLE,)]
