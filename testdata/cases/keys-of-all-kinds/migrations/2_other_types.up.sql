ALTER TABLE keys.by_int ALTER COLUMN id TYPE bigint;
ALTER TABLE keys.by_smallint ALTER COLUMN id TYPE int;
ALTER TABLE keys.by_uuid ALTER COLUMN id TYPE text USING id::text;
ALTER TABLE keys.by_bigint ALTER COLUMN id TYPE numeric;
ALTER TABLE keys.by_serial ALTER COLUMN id TYPE bigint;
ALTER SEQUENCE keys.by_serial_id_seq AS bigint;
ALTER TABLE keys.by_default ALTER COLUMN id TYPE bigint;
