"""The samples: a schema of its own, outside the reach of the application's grants. See monitoring/storage.py."""

from django.db import migrations

ROLES = """
DO $$
DECLARE role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['rdmp_app', 'rdmp_ingest'] LOOP
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

BLOCKS = """
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
"""

FUNCTIONS = """
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

CREATE FUNCTION samples.drop_days_before(oldest date) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = samples, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    name text;
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
        EXECUTE format('DROP TABLE samples.%I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
"""

GRANTS = """
REVOKE ALL ON SCHEMA samples FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA samples FROM PUBLIC;
GRANT USAGE ON SCHEMA samples TO rdmp_app, rdmp_ingest;
GRANT SELECT ON samples.readable, samples.sample TO rdmp_app;
GRANT EXECUTE ON FUNCTION samples.make_day(date), samples.drop_days_before(date) TO rdmp_app;
GRANT INSERT ON samples.block TO rdmp_ingest;
"""


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0001_initial")]

    operations = [
        migrations.RunSQL(ROLES, migrations.RunSQL.noop),
        migrations.RunSQL(BLOCKS, "DROP SCHEMA samples CASCADE"),
        migrations.RunSQL(FUNCTIONS, migrations.RunSQL.noop),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]
