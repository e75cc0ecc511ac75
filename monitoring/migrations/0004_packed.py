"""Where closed hours and days are kept, packed. See monitoring/storage.py and docs/adr/0007."""

from django.db import migrations

ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'rdmp_pack') THEN
        EXECUTE 'CREATE ROLE rdmp_pack NOLOGIN NOSUPERUSER NOBYPASSRLS';
    END IF;
    IF NOT pg_has_role(current_user, 'rdmp_pack', 'SET') THEN
        EXECUTE 'GRANT rdmp_pack TO CURRENT_USER';
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation OR internal_error THEN NULL;
END $$
"""

TABLES = """
CREATE TABLE samples.packed (
    customer_id bigint NOT NULL,
    asset_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    hours smallint NOT NULL,
    part smallint NOT NULL,
    low_series int NOT NULL,
    high_series int NOT NULL,
    points int NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (asset_id, hour, part)
);
ALTER TABLE samples.packed ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE samples.steps (
    customer_id bigint NOT NULL,
    asset_id bigint NOT NULL,
    day timestamptz NOT NULL,
    part smallint NOT NULL,
    low_series int NOT NULL,
    high_series int NOT NULL,
    fives bytea NOT NULL,
    hours bytea NOT NULL,
    PRIMARY KEY (asset_id, day, part)
);
ALTER TABLE samples.steps ALTER COLUMN fives SET STORAGE EXTERNAL, ALTER COLUMN hours SET STORAGE EXTERNAL;

-- Days with packed hours whose steps are still to be made.
CREATE TABLE samples.open_day (
    customer_id bigint NOT NULL,
    asset_id bigint NOT NULL,
    day timestamptz NOT NULL,
    PRIMARY KEY (customer_id, asset_id, day)
);

CREATE FUNCTION samples.in_reach(customer bigint) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE coalesce(current_setting('rdmp.customers', true), '')
        WHEN '*' THEN true
        WHEN '' THEN false
        ELSE customer = ANY (string_to_array(current_setting('rdmp.customers', true), ',')::bigint[])
    END
$$;

CREATE VIEW samples.packed_readable WITH (security_barrier) AS
    SELECT * FROM samples.packed WHERE samples.in_reach(customer_id);
CREATE VIEW samples.steps_readable WITH (security_barrier) AS
    SELECT * FROM samples.steps WHERE samples.in_reach(customer_id);
"""

DROP_EMPTY_DAYS = """
CREATE FUNCTION samples.drop_empty_days_before(oldest date) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = samples, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    name text;
    is_empty boolean;
    dropped int := 0;
BEGIN
    IF oldest > current_date - 1 THEN
        RAISE EXCEPTION 'would drop today''s samples' USING ERRCODE = 'check_violation';
    END IF;
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'samples.block'::regclass AND c.relname < 'block_' || to_char(oldest, 'YYYYMMDD')
        ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM samples.%I)', name) INTO is_empty;
        CONTINUE WHEN NOT is_empty;
        -- nobody writes between this look and the drop
        EXECUTE format('LOCK TABLE samples.%I IN ACCESS EXCLUSIVE MODE', name);
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM samples.%I)', name) INTO is_empty;
        IF is_empty THEN
            EXECUTE format('DROP TABLE samples.%I', name);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END $$;

DROP FUNCTION samples.drop_days_before(date);
"""

GRANTS = """
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA samples FROM PUBLIC;
GRANT USAGE ON SCHEMA samples TO rdmp_pack;
GRANT SELECT ON samples.packed_readable, samples.steps_readable TO rdmp_app;
GRANT EXECUTE ON FUNCTION samples.in_reach(bigint), samples.drop_empty_days_before(date) TO rdmp_app;
GRANT SELECT, DELETE ON samples.block TO rdmp_pack;
GRANT SELECT, INSERT, DELETE ON samples.packed, samples.steps, samples.open_day TO rdmp_pack;
"""


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0003_in_full")]

    operations = [
        migrations.RunSQL(ROLE, migrations.RunSQL.noop),
        migrations.RunSQL(TABLES, "DROP TABLE samples.packed, samples.steps, samples.open_day CASCADE"),
        migrations.RunSQL(DROP_EMPTY_DAYS, migrations.RunSQL.noop),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]
