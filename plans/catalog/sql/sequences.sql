SELECT c.oid, n.nspname, c.relname,
       concat_ws(' ', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle) AS definition,
       pg_get_userbyid(c.relowner) AS owner, coalesce(c.relacl::text, '') AS acl,
       coalesce(obj_description(c.oid, 'pg_class'), '') AS comment, c.relpersistence::text,
       e.objid IS NOT NULL AS extension,
       coalesce(o.refobjid, 0)::oid AS tab, coalesce(o.refobjsubid, 0)::int2 AS col, coalesce(o.deptype = 'i', false) AS identity
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_sequence s ON s.seqrelid = c.oid
LEFT JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.objsubid = 0
                     AND o.refclassid = 'pg_class'::regclass AND o.refobjsubid > 0 AND o.deptype IN ('a', 'i')
LEFT JOIN pg_depend e ON e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e'
WHERE c.relkind = 'S' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname
