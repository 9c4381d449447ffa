CREATE TEMPORARY TABLE umbra___kept ON COMMIT DROP AS WITH umbra___e AS (SELECT j.k_0 AS umbra___k0, j.k_1 COLLATE shop."ci" AS umbra___k1, j.seq, j.xid FROM "pgumbra"."journal_7_0" AS j WHERE (j.xid::pg_catalog.text::pg_catalog.int8) OPERATOR(pg_catalog.>=) (pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot)::pg_catalog.text::pg_catalog.int8) AND NOT pg_catalog.pg_visible_in_snapshot(j.xid, $1::pg_catalog.pg_snapshot) AND j.op IN ('i', 'u', 'd')), umbra___t AS (SELECT umbra___k0, umbra___k1, max(seq) AS last, count(*) <> count(DISTINCT xid) AS again FROM umbra___e GROUP BY umbra___k0, umbra___k1) SELECT s."id" AS umbra___k0, s."Who" AS umbra___k1, s."made" AS umbra___v0 FROM "twin"."Order" AS s JOIN (SELECT (id
)::bigint AS umbra___k0, (who
)::text COLLATE "pg_catalog"."C" AS umbra___k1 FROM (SELECT umbra___k0 AS "id", umbra___k1 AS "who" FROM umbra___t) AS "Order") AS umbra___g ON s."id" OPERATOR(pg_catalog.=) umbra___g.umbra___k0 AND s."Who" OPERATOR(pg_catalog.=) umbra___g.umbra___k1 COLLATE "pg_catalog"."C";

WITH umbra___e AS (SELECT j.k_0 AS umbra___k0, j.k_1 COLLATE shop."ci" AS umbra___k1, j.seq, j.xid FROM "pgumbra"."journal_7_0" AS j WHERE (j.xid::pg_catalog.text::pg_catalog.int8) OPERATOR(pg_catalog.>=) (pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot)::pg_catalog.text::pg_catalog.int8) AND NOT pg_catalog.pg_visible_in_snapshot(j.xid, $1::pg_catalog.pg_snapshot) AND j.op IN ('i', 'u', 'd')), umbra___t AS (SELECT umbra___k0, umbra___k1, max(seq) AS last, count(*) <> count(DISTINCT xid) AS again FROM umbra___e GROUP BY umbra___k0, umbra___k1) DELETE FROM "twin"."Order" AS s USING (SELECT (id
)::bigint AS umbra___k0, (who
)::text COLLATE "pg_catalog"."C" AS umbra___k1 FROM (SELECT umbra___k0 AS "id", umbra___k1 AS "who" FROM umbra___t) AS "Order") AS umbra___g WHERE s."id" OPERATOR(pg_catalog.=) umbra___g.umbra___k0 AND s."Who" OPERATOR(pg_catalog.=) umbra___g.umbra___k1 COLLATE "pg_catalog"."C";

WITH umbra___e AS (SELECT j.k_0 AS umbra___k0, j.k_1 COLLATE shop."ci" AS umbra___k1, j.seq, j.xid FROM "pgumbra"."journal_7_0" AS j WHERE (j.xid::pg_catalog.text::pg_catalog.int8) OPERATOR(pg_catalog.>=) (pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot)::pg_catalog.text::pg_catalog.int8) AND NOT pg_catalog.pg_visible_in_snapshot(j.xid, $1::pg_catalog.pg_snapshot) AND j.op IN ('i', 'u', 'd')), umbra___t AS (SELECT umbra___k0, umbra___k1, max(seq) AS last, count(*) <> count(DISTINCT xid) AS again FROM umbra___e GROUP BY umbra___k0, umbra___k1) INSERT INTO "twin"."Order" ("id", "Who", "made") OVERRIDING SYSTEM VALUE SELECT id
, who
, umbra___kept.umbra___v0
FROM (SELECT j.img AS umbra___row FROM umbra___t JOIN "pgumbra"."journal_7_0" AS j ON j.seq = umbra___t.last WHERE NOT umbra___t.again AND j.op <> 'd' UNION ALL SELECT umbra___p AS umbra___row FROM umbra___t JOIN ONLY "shop"."Order" AS umbra___p ON umbra___p."id" OPERATOR(pg_catalog.=) umbra___t.umbra___k0 AND umbra___p."who" OPERATOR(pg_catalog.=) umbra___t.umbra___k1 COLLATE shop."ci" WHERE umbra___t.again) AS umbra___rows CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[umbra___rows.umbra___row]) AS "Order" JOIN pg_temp.umbra___kept ON umbra___kept.umbra___k0 OPERATOR(pg_catalog.=) (id
)::bigint AND umbra___kept.umbra___k1 OPERATOR(pg_catalog.=) (who
)::text COLLATE "pg_catalog"."C" WHERE (id > 0 -- all
);

WITH umbra___e AS (SELECT j.k_0 AS umbra___k0, j.k_1 COLLATE shop."ci" AS umbra___k1, j.seq, j.xid FROM "pgumbra"."journal_7_0" AS j WHERE (j.xid::pg_catalog.text::pg_catalog.int8) OPERATOR(pg_catalog.>=) (pg_catalog.pg_snapshot_xmin($1::pg_catalog.pg_snapshot)::pg_catalog.text::pg_catalog.int8) AND NOT pg_catalog.pg_visible_in_snapshot(j.xid, $1::pg_catalog.pg_snapshot) AND j.op IN ('i', 'u', 'd')), umbra___t AS (SELECT umbra___k0, umbra___k1, max(seq) AS last, count(*) <> count(DISTINCT xid) AS again FROM umbra___e GROUP BY umbra___k0, umbra___k1) INSERT INTO "twin"."Order" ("id", "Who") OVERRIDING SYSTEM VALUE SELECT id
, who
FROM (SELECT j.img AS umbra___row FROM umbra___t JOIN "pgumbra"."journal_7_0" AS j ON j.seq = umbra___t.last WHERE NOT umbra___t.again AND j.op <> 'd' UNION ALL SELECT umbra___p AS umbra___row FROM umbra___t JOIN ONLY "shop"."Order" AS umbra___p ON umbra___p."id" OPERATOR(pg_catalog.=) umbra___t.umbra___k0 AND umbra___p."who" OPERATOR(pg_catalog.=) umbra___t.umbra___k1 COLLATE shop."ci" WHERE umbra___t.again) AS umbra___rows CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[umbra___rows.umbra___row]) AS "Order" WHERE NOT EXISTS (SELECT FROM pg_temp.umbra___kept WHERE umbra___kept.umbra___k0 OPERATOR(pg_catalog.=) (id
)::bigint AND umbra___kept.umbra___k1 OPERATOR(pg_catalog.=) (who
)::text COLLATE "pg_catalog"."C") AND (id > 0 -- all
);

DROP TABLE pg_temp.umbra___kept;
