-- A hash over what the schemas $1 hold and what is said of it: whatever pg_dump
-- would tell changes it, and so do harmless things. Of pg_class and pg_trigger
-- values count, since TRUNCATE, VACUUM FULL and our own triggers write those
-- rows, too; elsewhere the rows' xmin does. Takes no lock on any table.
WITH schema AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1)),
relation AS (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relnamespace IN (SELECT oid FROM schema))
SELECT pg_catalog.md5(pg_catalog.string_agg(part, ',' ORDER BY part COLLATE "C")) FROM (
    SELECT 'c' || pg_catalog.concat_ws('.', c.oid, c.relname, c.relkind, c.relowner, c.relacl, c.reloptions, c.relpersistence, c.relreplident,
               c.relrowsecurity, c.relforcerowsecurity, c.relispartition, c.relpartbound, c.reltablespace, c.relam, c.reloftype)
        FROM pg_catalog.pg_class c JOIN relation r ON r.oid = c.oid
    UNION ALL SELECT 'a' || a.attrelid || '.' || pg_catalog.count(*) || '.' || pg_catalog.sum(a.xmin::text::bigint)
        FROM pg_catalog.pg_attribute a JOIN relation r ON r.oid = a.attrelid WHERE a.attnum > 0 GROUP BY a.attrelid
    UNION ALL SELECT 'd' || d.oid || '.' || d.xmin FROM pg_catalog.pg_attrdef d JOIN relation r ON r.oid = d.adrelid
    UNION ALL SELECT 'i' || i.indexrelid || '.' || i.xmin FROM pg_catalog.pg_index i JOIN relation r ON r.oid = i.indexrelid
    UNION ALL SELECT 'k' || k.oid || '.' || k.xmin FROM pg_catalog.pg_constraint k WHERE k.connamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 't' || t.oid || '.' || t.tgname || '.' || t.tgenabled::text FROM pg_catalog.pg_trigger t JOIN relation r ON r.oid = t.tgrelid
        WHERE NOT t.tgisinternal AND NOT pg_catalog.starts_with(t.tgname::text, '!pgumbra_')
    UNION ALL SELECT 'w' || w.oid || '.' || w.xmin FROM pg_catalog.pg_rewrite w JOIN relation r ON r.oid = w.ev_class
    UNION ALL SELECT 'p' || p.oid || '.' || p.xmin FROM pg_catalog.pg_policy p JOIN relation r ON r.oid = p.polrelid
    UNION ALL SELECT 'h' || h.inhrelid || '.' || h.inhparent || '.' || h.xmin FROM pg_catalog.pg_inherits h JOIN relation r ON r.oid = h.inhrelid
    UNION ALL SELECT 's' || s.seqrelid || '.' || s.xmin FROM pg_catalog.pg_sequence s JOIN relation r ON r.oid = s.seqrelid
    UNION ALL SELECT 'f' || f.oid || '.' || f.xmin FROM pg_catalog.pg_proc f WHERE f.pronamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'y' || y.oid || '.' || y.xmin FROM pg_catalog.pg_type y WHERE y.typnamespace IN (SELECT oid FROM schema) AND y.typrelid = 0
    UNION ALL SELECT 'e' || e.oid || '.' || e.xmin FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type y ON y.oid = e.enumtypid
        WHERE y.typnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'x' || x.oid || '.' || x.xmin FROM pg_catalog.pg_statistic_ext x WHERE x.stxnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'o' || o.oid || '.' || o.xmin FROM pg_catalog.pg_operator o WHERE o.oprnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'q' || q.oid || '.' || q.xmin FROM pg_catalog.pg_opclass q WHERE q.opcnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'l' || l.oid || '.' || l.xmin FROM pg_catalog.pg_collation l WHERE l.collnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'g' || g.oid || '.' || g.xmin FROM pg_catalog.pg_ts_config g WHERE g.cfgnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'n' || n.oid || '.' || n.xmin FROM pg_catalog.pg_namespace n JOIN schema s ON s.oid = n.oid
    UNION ALL SELECT 'u' || u.oid || '.' || u.xmin FROM pg_catalog.pg_default_acl u
    UNION ALL SELECT 'v' || v.oid || '.' || v.xmin FROM pg_catalog.pg_extension v
    UNION ALL SELECT 'm' || pg_catalog.count(*) || '.' || pg_catalog.sum(m.xmin::text::bigint) FROM pg_catalog.pg_description m
        WHERE m.classoid <> 'pg_catalog.pg_class'::regclass OR m.objoid IN (SELECT oid FROM relation)
) AS parts(part)
