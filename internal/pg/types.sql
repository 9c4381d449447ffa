-- The columns of table $1: name, type without modifier, the type it is sent as,
-- and whether that one's binary format is among those of $2 or an enum's.
WITH RECURSIVE col AS (
    SELECT a.attnum, a.attname, a.atttypid, coalesce(e.oid, t.oid) AS element, e.oid IS NOT NULL AS is_array
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
    WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
), step AS ( -- from a domain down to what it is made of
    SELECT c.attnum, c.element AS type, false AS below FROM col c
  UNION ALL
    SELECT s.attnum, t.typbasetype, true FROM step s JOIN pg_catalog.pg_type t ON t.oid = s.type WHERE t.typtype = 'd'
), base AS (
    SELECT s.attnum, s.below, t.oid, t.typtype, t.typarray, inside.typtype IN ('c', 'd') AS nested
    FROM step s
    JOIN pg_catalog.pg_type t ON t.oid = s.type
    LEFT JOIN pg_catalog.pg_type inside ON inside.oid = t.typelem AND inside.typarray = t.oid
    WHERE t.typtype <> 'd'
), sent AS (
    SELECT c.*, b.typtype, b.typtype = 'c' OR coalesce(b.nested, false) OR c.is_array AND b.typarray = 0 AS as_text,
           CASE WHEN NOT b.below THEN c.atttypid WHEN c.is_array THEN b.typarray ELSE b.oid END AS type
    FROM col c JOIN base b USING (attnum)
)
SELECT s.attname::text, pg_catalog.format_type(s.atttypid, -1),
       CASE WHEN s.as_text THEN 'text' ELSE pg_catalog.format_type(t.oid, -1) END,
       NOT s.as_text AND (s.typtype = 'e' AND NOT s.is_array
           OR n.nspname = 'pg_catalog' AND coalesce(e.typname, t.typname) = ANY (pg_catalog.regexp_split_to_array($2, '\s+')))
FROM sent s
LEFT JOIN pg_catalog.pg_type t ON t.oid = s.type
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
ORDER BY s.attnum
