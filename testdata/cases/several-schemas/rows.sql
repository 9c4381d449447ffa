INSERT INTO apart.kept SELECT n, n FROM generate_series(1, 10) n;
INSERT INTO base.items SELECT 'S' || n, CASE n % 2 WHEN 0 THEN 'kg' ELSE 'piece' END::base.unit, n FROM generate_series(1, 100) n;
INSERT INTO sales.items (sku, unit) SELECT 'S' || (1 + n % 100), 'kg' FROM generate_series(1, 300) n;
INSERT INTO "Report".daily SELECT date '2024-01-01' + n, 'S' || n, n FROM generate_series(1, 100) n;
REFRESH MATERIALIZED VIEW "Report".sums;
