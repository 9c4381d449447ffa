SELECT p.oid, n.nspname, p.proname, '(' || pg_get_function_identity_arguments(p.oid) || ')' AS arguments, p.prokind::text, l.lanname,
       p.provolatile::text, coalesce(p.prosrc, '') AS body,
       CASE WHEN p.prokind = 'a' THEN '' ELSE pg_get_functiondef(p.oid) END AS definition,
       e.objid IS NOT NULL AS extension,
       -- whoever makes a range, its constructors belong to the server's first superuser
       pg_get_userbyid(coalesce(r.typowner, p.proowner)) AS owner
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_depend e ON e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'
LEFT JOIN pg_depend i ON i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i' AND i.refclassid = 'pg_type'::regclass
LEFT JOIN pg_range m ON m.rngmultitypid = i.refobjid
LEFT JOIN pg_type r ON r.oid = coalesce(m.rngtypid, i.refobjid)
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND e.objid IS NULL
ORDER BY n.nspname, p.proname, 4
