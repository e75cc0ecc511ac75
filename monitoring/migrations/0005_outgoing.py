"""Samples on their way to a store outside. See monitoring/services/outgoing.py."""

from django.db import migrations

OUTGOING = """
CREATE TABLE samples.outgoing (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL,
    points int NOT NULL,
    data bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE samples.outgoing ALTER COLUMN data SET STORAGE EXTERNAL;
GRANT INSERT ON samples.outgoing TO rdmp_ingest;
GRANT SELECT, DELETE ON samples.outgoing TO rdmp_pack;
"""


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0004_packed")]

    operations = [migrations.RunSQL(OUTGOING, "DROP TABLE samples.outgoing")]
