CREATE MATERIALIZED VIEW metrics.halls AS SELECT hall, count(*) AS sensors FROM metrics.sensors GROUP BY hall;
