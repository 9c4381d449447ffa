ALTER TABLE shipping.parcels RENAME TO parcels_old;
CREATE TABLE shipping.parcels (LIKE shipping.parcels_old INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);
DO $$
BEGIN
    FOR i IN 0..3 LOOP
        EXECUTE format('CREATE TABLE shipping.parcels_%s PARTITION OF shipping.parcels FOR VALUES WITH (MODULUS 4, REMAINDER %s)', i, i);
    END LOOP;
END
$$;
INSERT INTO shipping.parcels SELECT * FROM shipping.parcels_old;
ALTER SEQUENCE shipping.parcels_id_seq OWNED BY shipping.parcels.id;
DROP TABLE shipping.parcels_old;
