WITH schema AS (
    SELECT oid FROM pg_namespace WHERE nspname = ANY ($1::text[])
), dependency AS (
    SELECT DISTINCT d.classid, d.objid, d.refclassid, d.refobjid
    FROM pg_depend d
    WHERE d.deptype IN ('n', 'a') AND d.refobjid >= 16384 AND d.refclassid <> 'pg_namespace'::regclass
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e')
), homed AS (
    SELECT d.*,
        {{home}} AS home,
        (SELECT {{home}} FROM (SELECT refclassid AS classid, refobjid AS objid) d) AS away
    FROM dependency d
)
SELECT DISTINCT pg_describe_object(h.classid, h.objid, 0), pg_describe_object(h.refclassid, h.refobjid, 0), n.nspname::text
FROM homed h
JOIN pg_namespace n ON n.oid = h.away
-- members of an extension that keep to themselves (arrays and rows of its types) go with it
WHERE h.home IN (SELECT oid FROM schema) AND h.away NOT IN (SELECT oid FROM schema)
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_class c WHERE h.refclassid = 'pg_class'::regclass AND c.oid = h.refobjid AND c.relkind IN ('i', 'I'))
  AND NOT EXISTS (SELECT FROM pg_trigger t WHERE h.classid = 'pg_trigger'::regclass AND t.oid = h.objid AND t.tgisinternal) -- a constraint's
  AND NOT EXISTS (SELECT FROM pg_type t JOIN pg_depend e ON e.classid = 'pg_type'::regclass AND e.objid = t.typelem AND e.deptype = 'e'
                  WHERE h.refclassid = 'pg_type'::regclass AND t.oid = h.refobjid)
ORDER BY 1, 2
