"""The wall inside PostgreSQL: roles, grants and row policies, derived from the models so that none can be forgotten.

`manage.py migrate` calls `install()` after every run. Each table with a `customer_id` gets a policy; the application's
role gets just the rights that its table allows.
"""

from dataclasses import dataclass

from django.apps import apps
from django.db import transaction

from accounts.postgres.base import APP_ROLE, DatabaseWrapper
from accounts.tenancy import SharedModel

# In sub-selects, so that PostgreSQL reads the setting once per statement and not once per row, and so that a
# server-side cursor keeps the scope in which it was opened. `IN` over a sub-select becomes a hash table: `= ANY`
# compares each row with all of an engineer's 200 customers, in fifty times the time. No setting: NULL, which shows
# nothing.
IN_SCOPE = (
    "((SELECT current_setting('rdmp.customers', true) = '*') OR {column} IN (SELECT unnest(string_to_array("
    "nullif(nullif(current_setting('rdmp.customers', true), '*'), ''), ',')::bigint[])))"
)
ANY_SCOPE = "(SELECT current_setting('rdmp.customers', true) <> '')"


IDENTITY_TABLES = ("account_emailaddress", "mfa_authenticator", "usersessions_usersession")
"""Tables of the sign-in library: their rows belong to a user, and through the user to a customer."""


@dataclass(frozen=True)
class Table:
    """A table behind the wall: its name, the column that names the customer, and whether NULL means everybody."""

    name: str
    column: str
    shared: bool
    append_only: bool


def tables() -> list[Table]:
    """Every tenant-owned table of the project, history tables and many-to-many tables included."""
    customer = apps.get_model("accounts", "Customer")
    found = [Table(customer._meta.db_table, str(customer._meta.pk.column), shared=False, append_only=False)]
    for model in apps.get_models(include_auto_created=True):
        field = next(
            (f for f in model._meta.local_fields if f.name == "customer" and f.related_model is customer), None
        )
        if field is None or not model._meta.managed or model._meta.proxy:
            continue
        # History rows follow the model that they remember. People of the provider are known to every customer.
        remembered = getattr(model, "instance_type", None) or model
        shared = issubclass(remembered, SharedModel) or remembered is apps.get_model("accounts", "User")
        append_only = bool(getattr(model, "APPEND_ONLY", False))
        found.append(Table(model._meta.db_table, str(field.column), shared=shared, append_only=append_only))
    return found


def install(connection: DatabaseWrapper) -> None:
    """Create the role, grant its rights and lay the policies; safe to repeat and to run from two places at once."""
    existing = set(connection.introspection.table_names())
    with connection.as_owner(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            cursor.execute(_ROLE)
            cursor.execute(f'GRANT USAGE ON SCHEMA public TO "{APP_ROLE}"')
            cursor.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{APP_ROLE}"')
            cursor.execute(f'GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO "{APP_ROLE}"')
            cursor.execute(f'REVOKE INSERT, UPDATE, DELETE ON "django_migrations" FROM "{APP_ROLE}"')
            walls = [_statements(table) for table in tables() if table.name in existing]
            walls += [_identity_statements(name) for name in IDENTITY_TABLES]
            for statements in walls:
                with transaction.atomic(using=connection.alias):  # whoever reads meanwhile never finds a half-made wall
                    for statement in statements:
                        cursor.execute(statement)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


_LOCK = 0x72646D70
# Two databases of one cluster may be installed at the same moment, and roles belong to the cluster: the slower one may
# find the role there already, or PostgreSQL may refuse its grant as "tuple concurrently updated" (an internal_error).
_ROLE = f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{APP_ROLE}') THEN
        CREATE ROLE "{APP_ROLE}" NOLOGIN NOSUPERUSER NOBYPASSRLS;
    END IF;
    IF NOT pg_has_role(current_user, '{APP_ROLE}', 'SET') THEN
        GRANT "{APP_ROLE}" TO CURRENT_USER;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation OR internal_error THEN NULL;
END $$
"""  # noqa: S608 - the name of our own role


# For the owner as well, whom grants do not hold.
_REFUSE = """
CREATE OR REPLACE FUNCTION rdmp_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""


def _statements(table: Table) -> list[str]:
    mine = IN_SCOPE.format(column=f'"{table.column}"')
    readable = f'({mine} OR ("{table.column}" IS NULL AND {ANY_SCOPE}))' if table.shared else mine
    # `mine` is NULL, hence false, for a NULL customer unless the scope is the whole platform.
    policies = {
        "rdmp_read": f"FOR SELECT USING ({readable})",
        "rdmp_add": f"FOR INSERT WITH CHECK ({mine})",
        "rdmp_change": f"FOR UPDATE USING ({mine}) WITH CHECK ({mine})",
        "rdmp_remove": f"FOR DELETE USING ({mine})",
    }
    statements = [f'ALTER TABLE "{table.name}" ENABLE ROW LEVEL SECURITY']
    for name, rule in policies.items():
        statements.append(f'DROP POLICY IF EXISTS "{name}" ON "{table.name}"')
        statements.append(f'CREATE POLICY "{name}" ON "{table.name}" {rule}')
    if table.append_only:
        statements.append(f'REVOKE UPDATE, DELETE, TRUNCATE ON "{table.name}" FROM "{APP_ROLE}"')
        statements.append(_REFUSE)
        statements.append(
            f'CREATE OR REPLACE TRIGGER "rdmp_append_only" BEFORE UPDATE OR DELETE ON "{table.name}" '
            "FOR EACH ROW EXECUTE FUNCTION rdmp_refuse()"
        )
    return statements


def _identity_statements(name: str) -> list[str]:
    users = apps.get_model("accounts", "User")._meta.db_table
    in_scope = IN_SCOPE.format(column="u.customer_id")
    mine = f'EXISTS (SELECT 1 FROM "{users}" u WHERE u.id = user_id AND {in_scope})'  # noqa: S608 - names of our models
    platform = "(SELECT current_setting('rdmp.customers', true) = '*')"  # spares sign-in the look at the user's row
    return [
        f'ALTER TABLE "{name}" ENABLE ROW LEVEL SECURITY',
        f'DROP POLICY IF EXISTS "rdmp_own" ON "{name}"',
        f'CREATE POLICY "rdmp_own" ON "{name}" USING ({platform} OR {mine})',
    ]
