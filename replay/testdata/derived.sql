WITH umbra_w0 AS (SELECT DISTINCT j.k_0 AS umbra_k0 FROM "pgumbra"."journal_7_1" AS j WHERE (j.xid::pg_catalog.text::pg_catalog.int8) OPERATOR(pg_catalog.>=) (pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot)::pg_catalog.text::pg_catalog.int8) AND NOT pg_catalog.pg_visible_in_snapshot(j.xid, $1::pg_catalog.pg_snapshot) AND j.op <> 't') SELECT count(*), COALESCE(bool_or(umbra_k0 IS NULL), false) FROM umbra_w0;

WITH umbra_w0 AS (SELECT DISTINCT j.k_0 AS umbra_k0 FROM "pgumbra"."journal_7_1" AS j WHERE (j.xid::pg_catalog.text::pg_catalog.int8) OPERATOR(pg_catalog.>=) (pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot)::pg_catalog.text::pg_catalog.int8) AND NOT pg_catalog.pg_visible_in_snapshot(j.xid, $1::pg_catalog.pg_snapshot) AND j.op <> 't') DELETE FROM ONLY "twin"."sums" AS s USING umbra_w0 WHERE s."id" OPERATOR(pg_catalog.=) umbra_w0.umbra_k0;

WITH umbra_w0 AS (SELECT DISTINCT j.k_0 AS umbra_k0 FROM "pgumbra"."journal_7_1" AS j WHERE (j.xid::pg_catalog.text::pg_catalog.int8) OPERATOR(pg_catalog.>=) (pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot)::pg_catalog.text::pg_catalog.int8) AND NOT pg_catalog.pg_visible_in_snapshot(j.xid, $1::pg_catalog.pg_snapshot) AND j.op <> 't') INSERT INTO "twin"."sums" ("id", "n") OVERRIDING SYSTEM VALUE SELECT id
, n
FROM umbra_w0 CROSS JOIN LATERAL (SELECT "q".* FROM (SELECT id, count(*) AS n FROM kid GROUP BY id
) AS "q" WHERE (id
) OPERATOR(pg_catalog.=) umbra_w0.umbra_k0 OFFSET 0) AS "q";

WITH umbra_w1 AS (SELECT DISTINCT j.k_0 AS umbra_k0 FROM "pgumbra"."journal_7_2" AS j WHERE (j.xid::pg_catalog.text::pg_catalog.int8) OPERATOR(pg_catalog.>=) (pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot)::pg_catalog.text::pg_catalog.int8) AND NOT pg_catalog.pg_visible_in_snapshot(j.xid, $1::pg_catalog.pg_snapshot) AND j.op <> 't'), umbra_w0 AS (SELECT DISTINCT j.k_0 AS umbra_k0 FROM "pgumbra"."journal_7_1" AS j WHERE (j.xid::pg_catalog.text::pg_catalog.int8) OPERATOR(pg_catalog.>=) (pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot)::pg_catalog.text::pg_catalog.int8) AND NOT pg_catalog.pg_visible_in_snapshot(j.xid, $1::pg_catalog.pg_snapshot) AND j.op <> 't') INSERT INTO "twin"."sums" ("id", "n") OVERRIDING SYSTEM VALUE SELECT id
, n
FROM (SELECT "q".* FROM (SELECT id, count(*) AS n FROM kid GROUP BY id
) AS "q" WHERE EXISTS (SELECT FROM umbra_w1 WHERE ((id
) OPERATOR(pg_catalog.=) umbra_w1.umbra_k0 OR (id
) IS NULL AND umbra_w1.umbra_k0 IS NULL))) AS "q" WHERE NOT EXISTS (SELECT FROM umbra_w0 WHERE (id
) OPERATOR(pg_catalog.=) umbra_w0.umbra_k0);
