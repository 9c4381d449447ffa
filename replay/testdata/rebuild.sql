CREATE TEMPORARY TABLE umbra___kept ON COMMIT DROP AS SELECT s."id" AS umbra___k0, s."Who" AS umbra___k1, s."made" AS umbra___v0 FROM "twin"."Order" AS s;

DELETE FROM "twin"."Order" AS s;

INSERT INTO "twin"."Order" ("id", "Who", "made") OVERRIDING SYSTEM VALUE SELECT id
, who
, umbra___kept.umbra___v0
FROM ONLY "shop"."Order" AS "Order" JOIN pg_temp.umbra___kept ON umbra___kept.umbra___k0 OPERATOR(pg_catalog.=) (id
)::bigint AND umbra___kept.umbra___k1 OPERATOR(pg_catalog.=) (who
)::text COLLATE "pg_catalog"."C" WHERE (id > 0 -- all
);

INSERT INTO "twin"."Order" ("id", "Who") OVERRIDING SYSTEM VALUE SELECT id
, who
FROM ONLY "shop"."Order" AS "Order" WHERE NOT EXISTS (SELECT FROM pg_temp.umbra___kept WHERE umbra___kept.umbra___k0 OPERATOR(pg_catalog.=) (id
)::bigint AND umbra___kept.umbra___k1 OPERATOR(pg_catalog.=) (who
)::text COLLATE "pg_catalog"."C") AND (id > 0 -- all
);

DROP TABLE pg_temp.umbra___kept;
