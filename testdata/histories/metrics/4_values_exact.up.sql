ALTER TABLE metrics.points ALTER COLUMN value TYPE numeric(20,6) USING round(value::numeric, 6);
