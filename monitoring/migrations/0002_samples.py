"""The samples: a schema of its own, outside the reach of the application's grants. See monitoring/storage.py."""

from django.db import migrations

ROLES = """
DO $$
DECLARE role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['rdmp_app', 'rdmp_ingest', 'rdmp_pack'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role_name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS', role_name);
            END IF;
            IF NOT pg_has_role(current_user, role_name, 'SET') THEN
                EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation OR internal_error THEN NULL;
        END;
    END LOOP;
END $$
"""

TABLES = """
CREATE SCHEMA samples;

CREATE TABLE samples.block (
    customer_id bigint NOT NULL,
    asset_id bigint NOT NULL,
    ts timestamptz NOT NULL,
    series int[] NOT NULL,
    value float8[] NOT NULL
) PARTITION BY RANGE (ts);

CREATE INDEX block_asset_ts ON samples.block (asset_id, ts);

-- Rewritten with every batch: room in each page lets the new version stay beside the old one, without index work.
ALTER TABLE monitoring_newest SET (fillfactor = 40);
ALTER TABLE monitoring_newest ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE monitoring_rulestate SET (fillfactor = 50);

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


-- Samples on their way to a store outside. See monitoring/services/outgoing.py.
CREATE TABLE samples.outgoing (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL,
    points int NOT NULL,
    data bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE samples.outgoing ALTER COLUMN data SET STORAGE EXTERNAL;
"""

VIEWS = """
CREATE FUNCTION samples.in_reach(customer bigint) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE coalesce(current_setting('rdmp.customers', true), '')
        WHEN '*' THEN true
        WHEN '' THEN false
        ELSE customer = ANY (string_to_array(current_setting('rdmp.customers', true), ',')::bigint[])
    END
$$;

CREATE VIEW samples.readable WITH (security_barrier) AS
    SELECT customer_id, asset_id, ts, series, value FROM samples.block
    WHERE CASE coalesce(current_setting('rdmp.customers', true), '')
        WHEN '*' THEN true
        WHEN '' THEN false
        ELSE customer_id = ANY (string_to_array(current_setting('rdmp.customers', true), ',')::bigint[])
    END;

CREATE VIEW samples.sample WITH (security_barrier) AS
    SELECT customer_id, asset_id, series_id, ts, sample_value AS value
    FROM samples.readable, unnest(series, value) AS sample (series_id, sample_value);

CREATE VIEW samples.packed_readable WITH (security_barrier) AS
    SELECT * FROM samples.packed WHERE samples.in_reach(customer_id);
CREATE VIEW samples.steps_readable WITH (security_barrier) AS
    SELECT * FROM samples.steps WHERE samples.in_reach(customer_id);
"""

DAYS = """
CREATE FUNCTION samples.make_day(wanted date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = samples, pg_temp AS $$
DECLARE
    name text := 'block_' || to_char(wanted, 'YYYYMMDD');
BEGIN
    IF to_regclass('samples.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    IF wanted NOT BETWEEN current_date - 800 AND current_date + 30 THEN
        RAISE EXCEPTION 'no partition for %', wanted USING ERRCODE = 'check_violation';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('samples.block'), wanted - date '2000-01-01');
    -- made apart and attached, which lets readers and writers of the other days go on
    EXECUTE format('CREATE TABLE samples.%I (LIKE samples.block INCLUDING ALL)', name);
    EXECUTE format(
        'ALTER TABLE samples.block ATTACH PARTITION samples.%I FOR VALUES FROM (%L) TO (%L)',
        name, wanted || ' 00:00+00', (wanted + 1) || ' 00:00+00'
    );
    RETURN true;
EXCEPTION WHEN duplicate_table THEN
    RETURN false;  -- somebody else was faster
END $$;

-- A day that has passed is held while samples are written into it: housekeeping may drop it as soon as it is empty.
CREATE FUNCTION samples.hold_day(wanted date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = samples, pg_temp AS $$
BEGIN
    LOOP
        PERFORM samples.make_day(wanted);
        BEGIN
            EXECUTE format('LOCK TABLE samples.%I IN ROW EXCLUSIVE MODE', 'block_' || to_char(wanted, 'YYYYMMDD'));
            RETURN;
        EXCEPTION WHEN undefined_table THEN  -- dropped between the two: once more
        END;
    END LOOP;
END $$;

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
"""

GRANTS = """
REVOKE ALL ON SCHEMA samples FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA samples FROM PUBLIC;
GRANT USAGE ON SCHEMA samples TO rdmp_app, rdmp_ingest, rdmp_pack;
GRANT SELECT ON samples.readable, samples.sample, samples.packed_readable, samples.steps_readable TO rdmp_app;
GRANT EXECUTE ON FUNCTION
    samples.make_day(date), samples.hold_day(date), samples.drop_empty_days_before(date), samples.in_reach(bigint)
    TO rdmp_app;
GRANT INSERT ON samples.block, samples.outgoing TO rdmp_ingest;
GRANT SELECT, DELETE ON samples.block, samples.outgoing TO rdmp_pack;
GRANT SELECT, INSERT, DELETE ON samples.packed, samples.steps, samples.open_day TO rdmp_pack;
"""


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0001_initial")]

    operations = [
        migrations.RunSQL(ROLES, migrations.RunSQL.noop),
        migrations.RunSQL([TABLES, VIEWS, DAYS, GRANTS], "DROP SCHEMA samples CASCADE"),
    ]
