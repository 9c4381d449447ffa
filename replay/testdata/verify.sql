SELECT ARRAY[b.umbra___k0::text, b.umbra___k1::text] FROM (SELECT "Order"."id" AS umbra___k0, "Order"."who" AS umbra___k1 FROM ONLY "shop"."Order" AS "Order" WHERE ROW("Order"."id", "Order"."who") > ROW($1::text::integer, $2::text::text COLLATE shop."ci") ORDER BY "Order"."id", "Order"."who" OFFSET 999 LIMIT 1) AS b;

SELECT count(*), COALESCE(sum(pg_catalog.hashint4extended(0, COALESCE(pg_catalog.hashint4extended(1055898143, ((id
)::bigint)::pg_catalog.int8), 3266014173702634015) # COALESCE(pg_catalog.hashtextextended(((who
)::text)::pg_catalog.text COLLATE "C", 4354685564936845354), 4354685564936845354))), 0)::text FROM ONLY "shop"."Order" AS "Order" WHERE ROW("Order"."id", "Order"."who") > ROW($1::text::integer, $2::text::text COLLATE shop."ci") AND ROW("Order"."id", "Order"."who") <= ROW($3::text::integer, $4::text::text COLLATE shop."ci") AND (id > 0 -- all
);

SELECT count(*), COALESCE(sum(pg_catalog.hashint4extended(0, COALESCE(pg_catalog.hashint4extended(1055898143, (s."id")::pg_catalog.int8), 3266014173702634015) # COALESCE(pg_catalog.hashtextextended((s."Who")::pg_catalog.text COLLATE "C", 4354685564936845354), 4354685564936845354))), 0)::text FROM "twin"."Order" AS s WHERE ROW(s."id", s."Who") > ROW($1::text::bigint, $2::text::text COLLATE "pg_catalog"."C") AND ROW(s."id", s."Who") <= ROW($3::text::bigint, $4::text::text COLLATE "pg_catalog"."C");

SELECT pg_catalog.concat_ws(', ', 'id=' || COALESCE(p.umbra___k0, s.umbra___k0)::text, 'Who=' || COALESCE(p.umbra___k1, s.umbra___k1)::text), left(p.image, 4000), left(s.image, 4000) FROM (SELECT (id
)::bigint AS umbra___k0, (who
)::text COLLATE "pg_catalog"."C" AS umbra___k1, (ROW((id
)::bigint, (who
)::text)::text COLLATE "C") AS image FROM ONLY "shop"."Order" AS "Order" WHERE ROW("Order"."id", "Order"."who") > ROW($1::text::integer, $2::text::text COLLATE shop."ci") AND ROW("Order"."id", "Order"."who") <= ROW($3::text::integer, $4::text::text COLLATE shop."ci") AND (id > 0 -- all
)) AS p FULL JOIN (SELECT s."id" AS umbra___k0, s."Who" AS umbra___k1, (ROW(s."id", s."Who")::text COLLATE "C") AS image FROM "twin"."Order" AS s WHERE ROW(s."id", s."Who") > ROW($1::text::bigint, $2::text::text COLLATE "pg_catalog"."C") AND ROW(s."id", s."Who") <= ROW($3::text::bigint, $4::text::text COLLATE "pg_catalog"."C")) AS s ON p.umbra___k0 OPERATOR(pg_catalog.=) s.umbra___k0 AND p.umbra___k1 OPERATOR(pg_catalog.=) s.umbra___k1 WHERE p.image IS DISTINCT FROM s.image ORDER BY COALESCE(p.umbra___k0, s.umbra___k0), COALESCE(p.umbra___k1, s.umbra___k1) LIMIT 20;

SELECT COALESCE(p.n, 0) || ' in production, ' || COALESCE(s.n, 0) || ' in the shadow', left(p.image, 4000), left(s.image, 4000) FROM (SELECT i.image, count(*) AS n FROM (SELECT (ROW((at::timestamptz
)::timestamptz)::text COLLATE "C") AS image FROM "shop"."log" AS "log") AS i GROUP BY i.image) AS p FULL JOIN (SELECT i.image, count(*) AS n, count(*) FILTER (WHERE i.own) AS own FROM (SELECT (ROW(s."at")::text COLLATE "C") AS image, true AS own FROM ONLY "twin"."log" AS s) AS i GROUP BY i.image) AS s ON p.image = s.image WHERE COALESCE(p.n, 0) NOT BETWEEN COALESCE(s.own, 0) AND COALESCE(s.n, 0) ORDER BY COALESCE(p.image, s.image) LIMIT 20;
