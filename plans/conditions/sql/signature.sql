-- A hash over what the schemas $1 hold and what is said of it: whatever pg_dump
-- would tell changes it, and so do harmless things. Of pg_class and pg_trigger
-- values count, since TRUNCATE, VACUUM FULL and our own triggers write those
-- rows, too; elsewhere the rows' xmin does. Takes no lock on any table.
-- Behind the slash the same without sequences: a cutover to another database
-- closes production's, whose rows it writes itself. Behind the second one what
-- decides what an expression gives, in the schemas $2 too, to which unqualified
-- names may lead: the letters that the filter names.
-- Members go in arrays, so that each catalog's index serves.
WITH schema AS MATERIALIZED (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1)),
near AS MATERIALIZED (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1 || $2)),
relation AS MATERIALIZED (
    SELECT c.oid, c.relkind, pg_catalog.concat_ws('.', c.oid, c.relname, c.relkind, c.relowner, c.relacl, c.reloptions, c.relpersistence,
               c.relreplident, c.relrowsecurity, c.relforcerowsecurity, c.relispartition, c.relpartbound, c.reltablespace, c.relam, c.reloftype, t.reloptions) AS text
    FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid WHERE c.relnamespace = ANY (ARRAY(SELECT oid FROM schema))),
owner AS MATERIALIZED (SELECT oid FROM relation WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c')) -- of columns, triggers, rules
SELECT pg_catalog.bit_xor(pg_catalog.hashtextextended(part COLLATE "C", 0))::text || '/' ||
       (pg_catalog.bit_xor(pg_catalog.hashtextextended(part COLLATE "C", 0)) FILTER (WHERE part NOT LIKE 's%'))::text || '/' ||
       coalesce(pg_catalog.bit_xor(pg_catalog.hashtextextended(part COLLATE "C", 0)) FILTER (WHERE part ~ '^[CDGMQefgloqvy]'), 0)::text FROM (
    SELECT 'c' || r.text FROM relation r
    UNION ALL SELECT 'a' || a.attrelid || '.' || a.attnum || '.' || a.xmin FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = ANY (ARRAY(SELECT oid FROM owner)) AND a.attnum > 0
    UNION ALL SELECT 'd' || d.oid || '.' || d.xmin FROM pg_catalog.pg_attrdef d WHERE d.adrelid = ANY (ARRAY(SELECT oid FROM owner))
    UNION ALL SELECT 'i' || i.indexrelid || '.' || i.xmin FROM pg_catalog.pg_index i WHERE i.indrelid = ANY (ARRAY(SELECT oid FROM owner))
    UNION ALL SELECT 'k' || k.oid || '.' || k.xmin FROM pg_catalog.pg_constraint k WHERE k.connamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 't' || pg_catalog.concat_ws('.', t.oid, t.tgname, t.tgenabled, t.tgfoid, t.tgtype, t.tgconstrrelid, t.tgdeferrable, t.tginitdeferred,
            t.tgattr, t.tgargs, t.tgqual, t.tgoldtable, t.tgnewtable) FROM pg_catalog.pg_trigger t
        WHERE t.tgrelid = ANY (ARRAY(SELECT oid FROM owner)) AND NOT t.tgisinternal
          AND t.tgfoid <> ALL (ARRAY(SELECT o.oid FROM pg_catalog.pg_proc o WHERE o.pronamespace = pg_catalog.to_regnamespace('pgumbra')))
    UNION ALL SELECT 'w' || w.oid || '.' || w.xmin FROM pg_catalog.pg_rewrite w WHERE w.ev_class = ANY (ARRAY(SELECT oid FROM owner))
    UNION ALL SELECT 'p' || p.oid || '.' || p.xmin FROM pg_catalog.pg_policy p WHERE p.polrelid = ANY (ARRAY(SELECT oid FROM owner))
    UNION ALL SELECT 'h' || h.inhrelid || '.' || h.inhparent || '.' || h.xmin FROM pg_catalog.pg_inherits h
        WHERE h.inhrelid = ANY (ARRAY(SELECT oid FROM owner))
    UNION ALL SELECT 'W' || w.ftrelid || '.' || w.xmin FROM pg_catalog.pg_foreign_table w WHERE w.ftrelid = ANY (ARRAY(SELECT oid FROM owner))
    UNION ALL SELECT 's' || s.seqrelid || '.' || s.xmin FROM pg_catalog.pg_sequence s
        WHERE s.seqrelid = ANY (ARRAY(SELECT oid FROM relation WHERE relkind = 'S'))
    -- to which column it belongs
    UNION ALL SELECT 'O' || d.objid || '.' || d.refobjid || '.' || d.refobjsubid || '.' || d.deptype::text FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = ANY (ARRAY(SELECT oid FROM relation WHERE relkind = 'S'))
          AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0
    UNION ALL SELECT 'f' || f.oid || '.' || f.xmin FROM pg_catalog.pg_proc f
        WHERE f.pronamespace IN (SELECT oid FROM near) AND f.prokind <> 'p' AND f.prorettype NOT IN (2279, 3838) -- trigger, event_trigger: no expression calls them
    UNION ALL SELECT 'F' || f.oid || '.' || f.xmin FROM pg_catalog.pg_proc f
        WHERE f.pronamespace IN (SELECT oid FROM schema) AND (f.prokind = 'p' OR f.prorettype IN (2279, 3838))
    UNION ALL SELECT 'y' || y.oid || '.' || y.xmin FROM pg_catalog.pg_type y WHERE y.typnamespace IN (SELECT oid FROM near) AND y.typrelid = 0 AND y.typcategory <> 'A'
    UNION ALL SELECT 'y' || k.oid || '.' || k.xmin FROM pg_catalog.pg_constraint k WHERE k.connamespace IN (SELECT oid FROM near) AND k.contypid <> 0
    UNION ALL SELECT 'e' || e.oid || '.' || e.xmin FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type y ON y.oid = e.enumtypid
        WHERE y.typnamespace IN (SELECT oid FROM near)
    UNION ALL SELECT 'x' || x.oid || '.' || x.xmin FROM pg_catalog.pg_statistic_ext x WHERE x.stxnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'o' || o.oid || '.' || o.xmin FROM pg_catalog.pg_operator o WHERE o.oprnamespace IN (SELECT oid FROM near)
    UNION ALL SELECT 'q' || q.oid || '.' || q.xmin FROM pg_catalog.pg_opclass q WHERE q.opcnamespace IN (SELECT oid FROM near)
    UNION ALL SELECT 'Q' || q.oid || '.' || q.xmin FROM pg_catalog.pg_opfamily q WHERE q.opfnamespace IN (SELECT oid FROM near)
    UNION ALL SELECT 'Q' || q.oid || '.' || q.xmin FROM pg_catalog.pg_amop q JOIN pg_catalog.pg_opfamily b ON b.oid = q.amopfamily
        WHERE b.opfnamespace IN (SELECT oid FROM near)
    UNION ALL SELECT 'Q' || q.oid || '.' || q.xmin FROM pg_catalog.pg_amproc q JOIN pg_catalog.pg_opfamily b ON b.oid = q.amprocfamily
        WHERE b.opfnamespace IN (SELECT oid FROM near)
    UNION ALL SELECT 'C' || q.oid || '.' || q.xmin FROM pg_catalog.pg_cast q WHERE q.oid >= 16384
    UNION ALL SELECT 'N' || q.oid || '.' || q.xmin FROM pg_catalog.pg_conversion q WHERE q.connamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'l' || l.oid || '.' || l.xmin FROM pg_catalog.pg_collation l WHERE l.collnamespace IN (SELECT oid FROM near)
    UNION ALL SELECT 'g' || g.oid || '.' || g.xmin FROM pg_catalog.pg_ts_config g WHERE g.cfgnamespace IN (SELECT oid FROM near)
    UNION ALL SELECT 'M' || g.oid || '.' || q.maptokentype || '.' || q.mapseqno || '.' || q.mapdict FROM pg_catalog.pg_ts_config_map q
        JOIN pg_catalog.pg_ts_config g ON g.oid = q.mapcfg WHERE g.cfgnamespace IN (SELECT oid FROM near)
    UNION ALL SELECT 'D' || q.oid || '.' || q.xmin FROM pg_catalog.pg_ts_dict q WHERE q.dictnamespace IN (SELECT oid FROM near)
    UNION ALL SELECT 'G' || q.oid || '.' || q.xmin FROM pg_catalog.pg_ts_parser q WHERE q.prsnamespace IN (SELECT oid FROM near)
    UNION ALL SELECT 'G' || q.oid || '.' || q.xmin FROM pg_catalog.pg_ts_template q WHERE q.tmplnamespace IN (SELECT oid FROM near)
    UNION ALL SELECT 'n' || n.oid || '.' || n.xmin FROM pg_catalog.pg_namespace n WHERE n.oid IN (SELECT oid FROM schema)
    UNION ALL SELECT 'u' || u.oid || '.' || u.xmin FROM pg_catalog.pg_default_acl u
    UNION ALL SELECT 'v' || v.oid || '.' || v.xmin FROM pg_catalog.pg_extension v
    UNION ALL SELECT 'L' || l.classoid || '.' || l.objoid || '.' || l.objsubid || '.' || l.provider || '.' || l.label FROM pg_catalog.pg_seclabel l
    -- the text: a cutover gives a materialized view its own comment once more, to lock it
    UNION ALL SELECT 'm' || m.objoid || '.' || m.objsubid || '.' || m.description FROM pg_catalog.pg_description m
        WHERE m.classoid = 'pg_catalog.pg_class'::regclass AND m.objoid = ANY (ARRAY(SELECT oid FROM relation))
    UNION ALL SELECT 'm' || pg_catalog.count(*) || '.' || pg_catalog.sum(m.xmin::text::bigint) FROM pg_catalog.pg_description m
        WHERE m.classoid <> 'pg_catalog.pg_class'::regclass AND m.objoid >= 16384 -- not those that PostgreSQL comes with
    UNION ALL SELECT 'm' || m.objoid || '.' || m.description FROM pg_catalog.pg_description m -- public has an old number
        WHERE m.classoid = 'pg_catalog.pg_namespace'::regclass AND m.objoid = ANY (ARRAY(SELECT oid FROM schema))
) AS parts(part)
