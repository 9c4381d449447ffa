-- Sequences that defaults of columns draw from, with these. Rows come to partitions by their root.
SELECT d.refobjid, f.adrelid, a.attname::text
FROM pg_catalog.pg_attrdef f
JOIN pg_catalog.pg_class t ON t.oid = f.adrelid AND NOT t.relispartition
JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = f.adnum
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
JOIN pg_catalog.pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
ORDER BY t.oid, a.attnum
