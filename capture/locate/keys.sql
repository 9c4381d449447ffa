-- Foreign keys of relations $1.
SELECT f.conname::text, n.nspname::text, c.relname::text, columns.names, rn.nspname::text, r.relname::text, referenced.names, f.convalidated
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class c ON c.oid = f.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class r ON r.oid = f.confrelid JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
CROSS JOIN LATERAL (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.i) AS names FROM pg_catalog.unnest(f.conkey) WITH ORDINALITY k (num, i)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.num) columns
CROSS JOIN LATERAL (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.i) AS names FROM pg_catalog.unnest(f.confkey) WITH ORDINALITY k (num, i)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.num) referenced
WHERE f.contype = 'f' AND f.conparentid = 0 AND f.conrelid = ANY ($1)
ORDER BY f.oid
