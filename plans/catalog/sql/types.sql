SELECT t.oid, n.nspname, t.typname, t.typtype::text,
       CASE t.typtype
       WHEN 'e' THEN (SELECT string_agg(quote_literal(enumlabel), ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)
       WHEN 'c' THEN (SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod) || ' ' || attcollation::regcollation, ',' ORDER BY attnum)
                      FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped)
       WHEN 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod), t.typcollation::regcollation, t.typnotnull, t.typdefault,
                      (SELECT string_agg(quote_ident(conname) || ' ' || pg_get_constraintdef(k.oid)
                              || coalesce(obj_description(k.oid, 'pg_constraint'), ''), ',' ORDER BY conname)
                       FROM pg_constraint k WHERE k.contypid = t.oid))
       WHEN 'r' THEN (SELECT concat_ws(' ', format_type(r.rngsubtype, NULL), r.rngcollation::regcollation,
                             (SELECT concat(opcnamespace::regnamespace, '.', opcname) FROM pg_opclass WHERE oid = r.rngsubopc),
                             r.rngcanonical::regproc, r.rngsubdiff::regproc, format_type(r.rngmultitypid, NULL))
                      FROM pg_range r WHERE r.rngtypid = t.oid)
       ELSE '' END AS definition,
       -- a multirange stays with whoever made its range, and is nothing by itself
       pg_get_userbyid(coalesce((SELECT o.typowner FROM pg_range r JOIN pg_type o ON o.oid = r.rngtypid WHERE r.rngmultitypid = t.oid), t.typowner)) AS owner,
       coalesce(t.typacl::text, '') AS acl,
       coalesce(obj_description(t.oid, 'pg_type'), '') ||
       coalesce((SELECT string_agg(a.attname || col_description(a.attrelid, a.attnum), ',' ORDER BY a.attnum)
                 FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid), '') AS comment,
       e.objid IS NOT NULL AS extension,
       (SELECT coalesce(array_agg(DISTINCT coalesce(nullif(a.typelem, 0), d.refobjid)), '{}')
        FROM pg_depend d LEFT JOIN pg_type a ON a.oid = d.refobjid AND a.typcategory = 'A'
        WHERE d.refclassid = 'pg_type'::regclass AND d.deptype IN ('n', 'a')
          AND (d.classid = 'pg_type'::regclass AND d.objid = t.oid
            OR t.typtype = 'c' AND d.classid = 'pg_class'::regclass AND d.objid = t.typrelid
            OR t.typtype = 'd' AND d.classid = 'pg_constraint'::regclass
               AND d.objid IN (SELECT k.oid FROM pg_constraint k WHERE k.contypid = t.oid) AND d.refobjid <> t.oid)) AS refers,
       (SELECT coalesce(array_agg(DISTINCT d.refobjid), '{}') FROM pg_depend d
        WHERE d.refclassid NOT IN ('pg_type'::regclass, 'pg_namespace'::regclass) AND d.deptype IN ('n', 'a')
          AND (d.classid = 'pg_type'::regclass AND d.objid = t.oid
            OR t.typtype = 'c' AND d.classid = 'pg_class'::regclass AND d.objid = t.typrelid
            OR t.typtype = 'd' AND d.classid = 'pg_constraint'::regclass
               AND d.objid IN (SELECT k.oid FROM pg_constraint k WHERE k.contypid = t.oid))) AS objects,
       t.typarray,
       (SELECT coalesce(array_agg(oid ORDER BY enumsortorder), '{}') FROM pg_enum WHERE enumtypid = t.oid) AS label_oids,
       (SELECT coalesce(array_agg(enumlabel::text ORDER BY enumsortorder), '{}') FROM pg_enum WHERE enumtypid = t.oid) AS labels,
       (SELECT coalesce(array_agg(attnum ORDER BY attnum), '{}') FROM pg_attribute
        WHERE t.typtype = 'c' AND attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped) AS attributes
FROM pg_type t
JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_class c ON c.oid = t.typrelid
LEFT JOIN pg_depend e ON e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e'
WHERE (t.typrelid = 0 OR c.relkind = 'c') AND NOT (t.typcategory = 'A' AND t.typelem <> 0)
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, t.typname
