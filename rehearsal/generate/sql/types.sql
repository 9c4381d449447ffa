SELECT t.oid, t.typname, pg_catalog.format_type(t.oid, -1) AS name, t.typtype::text, t.typcategory::text,
       CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END::oid AS element,
       t.typbasetype, t.typtypmod, coalesce(r.rngsubtype, 0)::oid AS subtype, coalesce(m.rngtypid, 0)::oid AS range,
       coalesce(k.checks, '{}') AS checks, t.typnotnull, coalesce(a.types, '{}') AS attributes, coalesce(a.typmods, '{}') AS typmods
FROM pg_catalog.pg_type t
LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
LEFT JOIN pg_catalog.pg_range m ON m.rngmultitypid = t.oid
LEFT JOIN (SELECT contypid, array_agg(pg_catalog.pg_get_constraintdef(oid) ORDER BY conname) AS checks
           FROM pg_catalog.pg_constraint WHERE contypid <> 0 AND contype = 'c' GROUP BY contypid) k ON k.contypid = t.oid
LEFT JOIN (SELECT attrelid, array_agg(atttypid ORDER BY attnum) AS types, array_agg(atttypmod ORDER BY attnum) AS typmods
           FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped GROUP BY attrelid) a
       ON t.typtype = 'c' AND a.attrelid = t.typrelid
