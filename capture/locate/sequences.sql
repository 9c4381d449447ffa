-- Sequences of schemas $1 that feed a column, with that column and where they stand.
SELECT sn.nspname::text, s.relname::text, tn.nspname::text, t.relname::text, a.attname::text,
       coalesce(pg_catalog.pg_sequence_last_value(s.oid), q.seqstart), pg_catalog.pg_sequence_last_value(s.oid) IS NOT NULL
FROM pg_catalog.pg_class s
JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i')
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0
JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE s.relkind = 'S' AND sn.nspname = ANY ($1)
ORDER BY sn.nspname, s.relname
