ALTER TABLE billing.payments RENAME TO payments_flat;
CREATE TABLE billing.payments (LIKE billing.payments_flat INCLUDING DEFAULTS, PRIMARY KEY (id, paid_at)) PARTITION BY HASH (paid_at);
DO $$ BEGIN FOR n IN 0..3 LOOP EXECUTE format('CREATE TABLE billing.payments_%s PARTITION OF billing.payments FOR VALUES WITH (MODULUS 4, REMAINDER %s)', n, n); END LOOP; END $$;
INSERT INTO billing.payments SELECT * FROM billing.payments_flat;
ALTER SEQUENCE billing.payments_id_seq OWNED BY billing.payments.id;
DROP TABLE billing.payments_flat;
