"""An issued month stands (R6): neither the application nor the owner of the table changes a line of it."""

from django.db import migrations

STANDS = """
CREATE OR REPLACE FUNCTION costs_issued_month_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND EXISTS (
        SELECT 1 FROM costs_statement s
        WHERE s.customer_id = OLD.customer_id AND s.month = date_trunc('month', OLD.day)::date
    ) OR TG_OP <> 'DELETE' AND EXISTS (
        SELECT 1 FROM costs_statement s
        WHERE s.customer_id = NEW.customer_id AND s.month = date_trunc('month', NEW.day)::date
    ) THEN
        RAISE EXCEPTION 'the month of this line is issued: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER costs_issued_month_stands BEFORE INSERT OR UPDATE OR DELETE ON costs_billline
FOR EACH ROW EXECUTE FUNCTION costs_issued_month_stands();
"""
FALLS = """
DROP TRIGGER costs_issued_month_stands ON costs_billline;
DROP FUNCTION costs_issued_month_stands();
"""


class Migration(migrations.Migration):
    dependencies = [("costs", "0001_initial")]

    operations = [migrations.RunSQL(STANDS, FALLS)]
