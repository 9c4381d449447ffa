-- Where columns of tables $1 hold values of the server's types $2 inside of
-- composite types, domains and arrays: the steps that lead there. A column of
-- such a type itself, or of arrays of it, is not listed. No type contains itself.
WITH RECURSIVE part AS (
    SELECT a.attrelid, a.attname::text AS name, a.atttypid AS type, '{}'::text[] AS steps, 0 AS depth
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT p.attrelid, p.name, inner_one.type, p.steps || inner_one.step, p.depth + 1
    FROM part p JOIN pg_catalog.pg_type t ON t.oid = p.type
    CROSS JOIN LATERAL (
        SELECT t.typbasetype, '{}'::text[] WHERE t.typtype = 'd'
        UNION ALL SELECT t.typelem, '{[]}' WHERE t.typtype <> 'd' AND t.typcategory = 'A' AND t.typelem <> 0
        UNION ALL SELECT a.atttypid, ARRAY[('.' || pg_catalog.quote_ident(a.attname)) COLLATE pg_catalog."default"] FROM pg_catalog.pg_attribute a
            WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS inner_one(type, step)
)
SELECT p.attrelid, p.name, t.typname::text, p.steps
FROM part p JOIN pg_catalog.pg_type t ON t.oid = p.type
WHERE t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND t.typname = ANY ($2)
  AND p.depth > 0 AND NOT (p.depth = 1 AND p.steps = '{[]}')
ORDER BY p.attrelid, p.name, p.steps
