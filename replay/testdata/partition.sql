DELETE FROM "twin"."Order" AS s WHERE NOT EXISTS (SELECT FROM (SELECT (id
)::bigint AS umbra___k0, (who
)::text COLLATE "pg_catalog"."C" AS umbra___k1 FROM ONLY "shop"."Order" AS "Order" WHERE (id > 0 -- all
)) AS umbra___g WHERE s."id" OPERATOR(pg_catalog.=) umbra___g.umbra___k0 AND s."Who" OPERATOR(pg_catalog.=) umbra___g.umbra___k1 COLLATE "pg_catalog"."C");
