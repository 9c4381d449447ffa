DROP MATERIALIZED VIEW shop.counts; ALTER TABLE shop.a ADD COLUMN c bigint;
CREATE MATERIALIZED VIEW shop.counts AS SELECT b, count(*) AS n FROM shop.a GROUP BY b;
