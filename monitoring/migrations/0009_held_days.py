"""A day that has passed is held while samples are written into it: housekeeping may drop it as soon as it is empty."""

from django.db import migrations

HOLD_DAY = """
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
REVOKE ALL ON FUNCTION samples.hold_day(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION samples.hold_day(date) TO rdmp_app;
"""


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0008_flapping_limits")]

    operations = [migrations.RunSQL(HOLD_DAY, "DROP FUNCTION samples.hold_day(date)")]
