INSERT INTO rules.customers SELECT n, 'Name ' || n, nullif(n || '@x', '7@x'), n % 9, CASE WHEN n > 10 THEN n / 2 END FROM generate_series(1, 200) n;
INSERT INTO rules.orders SELECT n, 1 + n % 200, date '2024-01-01' + n, n, CASE n % 2 WHEN 0 THEN 'open' ELSE 'done' END, nullif('note ' || n % 5, 'note 3') FROM generate_series(1, 400) n;
INSERT INTO rules.lines SELECT o, l, nullif('sku' || l, 'sku2'), o + l FROM generate_series(1, 400) o, generate_series(1, 3) l;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO rules.heads SELECT n, n * 10 FROM generate_series(1, 40) n;
INSERT INTO rules.legs SELECT n * 10, n FROM generate_series(1, 40) n;
COMMIT;
INSERT INTO rules.parts SELECT n, n + 1, n + 2, n FROM generate_series(1, 40) n;
INSERT INTO rules.uses SELECT n, nullif(n, 5), CASE n WHEN 5 THEN NULL ELSE n + 1 END FROM generate_series(1, 40) n;
INSERT INTO rules.loose SELECT n, CASE WHEN n > 90 THEN 9999 ELSE n END, CASE WHEN n > 95 THEN -1 ELSE n END FROM generate_series(1, 100) n;
INSERT INTO rules.rooms SELECT n, int4range(n, n + 1), tstzrange('2024-01-01 00:00+00', '2024-01-02 00:00+00'), false FROM generate_series(1, 30) n;
INSERT INTO rules.rooms SELECT 100 + n, int4range(1, 30), tstzrange('2024-01-01 00:00+00', '2024-01-02 00:00+00'), true FROM generate_series(1, 5) n;
INSERT INTO rules.slots SELECT n, int4range(n * 10, n * 10 + 9) FROM generate_series(1, 30) n;
-- rows that break these rules were there before them
ALTER TABLE rules.loose ADD CONSTRAINT loose_customer FOREIGN KEY (customer) REFERENCES rules.customers NOT VALID;
ALTER TABLE rules.loose ADD CONSTRAINT loose_v CHECK (v >= 0) NOT VALID;
