-- What a database has of its own besides the schemas that move, which another
-- database would have to be given, too: a label for people, what it says, the
-- statement that takes it back, and when a difference counts:
--   ''   whenever there is one: the swap carries it over as the plan knew it
--   '+'  what came or was altered since: nobody carries it, so what went is not missed
--   '='  what was altered since: who brings or takes it is seen elsewhere
-- told: another condition speaks of it. Roles and tablespaces belong to the server.
db AS (SELECT * FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
member (class, oid) AS (SELECT e.classid, e.objid FROM pg_catalog.pg_depend e WHERE e.deptype = 'e'),
standing AS ( -- schemas that are there on the other server, too
    SELECT n.* FROM pg_catalog.pg_namespace n, asked
    WHERE n.nspname <> ALL (asked.schemas) AND n.nspname !~ '^(pg_|pgumbra)'
      AND (n.nspname = 'public' OR n.oid IN (SELECT extnamespace FROM pg_catalog.pg_extension))
),
initial AS ( -- what PostgreSQL and extensions came with, as far as somebody has granted or revoked something of it
    SELECT p.tableoid AS class, p.oid, p.pronamespace AS home, p.proacl AS acl, pg_catalog.acldefault('f', p.proowner) AS usual FROM pg_catalog.pg_proc p WHERE p.proacl IS NOT NULL
    UNION ALL SELECT c.tableoid, c.oid, c.relnamespace, c.relacl, pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner)
        FROM pg_catalog.pg_class c WHERE c.relacl IS NOT NULL
    UNION ALL SELECT y.tableoid, y.oid, y.typnamespace, y.typacl, pg_catalog.acldefault('T', y.typowner) FROM pg_catalog.pg_type y WHERE y.typacl IS NOT NULL
    UNION ALL SELECT l.tableoid, l.oid, NULL, l.lanacl, pg_catalog.acldefault('l', l.lanowner) FROM pg_catalog.pg_language l WHERE l.lanacl IS NOT NULL
    UNION ALL SELECT w.tableoid, w.oid, NULL, w.fdwacl, pg_catalog.acldefault('F', w.fdwowner) FROM pg_catalog.pg_foreign_data_wrapper w WHERE w.fdwacl IS NOT NULL
),
granted AS (
    SELECT i.class, i.oid, i.acl::text AS says FROM initial i
    LEFT JOIN pg_catalog.pg_init_privs p ON p.classoid = i.class AND p.objoid = i.oid AND p.objsubid = 0
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = i.home, asked
    WHERE i.acl IS DISTINCT FROM i.usual AND i.acl IS DISTINCT FROM p.initprivs
      AND (i.oid < 16384 AND n.nspname IS DISTINCT FROM 'public' OR (i.class, i.oid) IN (SELECT class, oid FROM member))
      AND coalesce(n.nspname <> ALL (asked.schemas), true)
),
belonging (label, says, undo, counts, told) AS (
    SELECT 'owner of the database', pg_catalog.pg_get_userbyid(datdba)::text, '', '', false FROM db
    UNION ALL SELECT 'limits of the database', pg_catalog.concat_ws(' ', datconnlimit, datallowconn, datistemplate), '', '', false FROM db
    UNION ALL SELECT pg_catalog.format('privileges of %s on the database', coalesce(r.rolname, 'PUBLIC')),
            pg_catalog.string_agg(a.privilege_type || ' ' || a.is_grantable, ' ' ORDER BY a.privilege_type, a.is_grantable),
            pg_catalog.format('REVOKE ALL ON DATABASE %I FROM %s', db.datname, coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC')), '', false
        FROM db CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(db.datacl, pg_catalog.acldefault('d', db.datdba))) a
        LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
        WHERE (a.grantee = 0 OR r.oid IS NOT NULL) AND a.grantee <> db.datdba GROUP BY db.datname, r.rolname
    UNION ALL SELECT pg_catalog.format('setting %s of %sthe database', pg_catalog.split_part(c.item, '=', 1), 'role ' || r.rolname || ' in '), c.item,
            coalesce('ALTER ROLE ' || pg_catalog.quote_ident(r.rolname) || ' IN', 'ALTER') || pg_catalog.format(' DATABASE %I RESET ', db.datname)
                || pg_catalog.split_part(c.item, '=', 1), '', false
        FROM db JOIN pg_catalog.pg_db_role_setting s ON s.setdatabase = db.oid CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c (item)
        LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole WHERE s.setrole = 0 OR r.oid IS NOT NULL
    UNION ALL SELECT 'comment on the database', d.description, pg_catalog.format('COMMENT ON DATABASE %I IS NULL', db.datname), '', false
        FROM db JOIN pg_catalog.pg_shdescription d ON d.objoid = db.oid AND d.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
    UNION ALL SELECT pg_catalog.format('security label of %s on the database', l.provider), l.label,
            pg_catalog.format('SECURITY LABEL FOR %I ON DATABASE %I IS NULL', l.provider, db.datname), '+', false
        FROM db JOIN pg_catalog.pg_shseclabel l ON l.objoid = db.oid AND l.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
    UNION ALL SELECT 'owner of schema ' || nspname, pg_catalog.pg_get_userbyid(nspowner)::text, '', '=', false FROM standing
    UNION ALL SELECT pg_catalog.format('privileges of %s on schema %s', coalesce(r.rolname, 'PUBLIC'), s.nspname),
            pg_catalog.string_agg(a.privilege_type || ' ' || a.is_grantable, ' ' ORDER BY a.privilege_type, a.is_grantable),
            pg_catalog.format('REVOKE ALL ON SCHEMA %I FROM %s', s.nspname, coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC')), '', false
        FROM standing s CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(s.nspacl, pg_catalog.acldefault('n', s.nspowner))) a
        LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
        WHERE (a.grantee = 0 OR r.oid IS NOT NULL) AND a.grantee <> s.nspowner GROUP BY s.nspname, r.rolname
    UNION ALL SELECT 'comment on schema ' || s.nspname, d.description, pg_catalog.format('COMMENT ON SCHEMA %I IS NULL', s.nspname), '', false
        FROM standing s JOIN pg_catalog.pg_description d ON d.objoid = s.oid AND d.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
    UNION ALL SELECT 'schema ' || n.nspname, '', pg_catalog.format('DROP SCHEMA %I', n.nspname), '+', false FROM pg_catalog.pg_namespace n, asked
        WHERE n.nspname <> ALL (asked.schemas) AND n.nspname !~ '^(pg_|pgumbra|information_schema$)'
          AND (n.tableoid, n.oid) NOT IN (SELECT class, oid FROM member)
    UNION ALL SELECT 'version of extension ' || e.extname, e.extversion || ' ' || e.extnamespace, '', '=', false FROM pg_catalog.pg_extension e
    UNION ALL SELECT '{{granted on}}' || pg_catalog.pg_describe_object(g.class, g.oid, 0), g.says, '', '', false FROM granted g
    UNION ALL SELECT 'foreign-data wrapper ' || w.fdwname, (pg_catalog.to_jsonb(w) - 'oid')::text, pg_catalog.format('DROP FOREIGN DATA WRAPPER %I', w.fdwname), '+', false
        FROM pg_catalog.pg_foreign_data_wrapper w WHERE (w.tableoid, w.oid) NOT IN (SELECT class, oid FROM member)
    UNION ALL SELECT 'foreign server ' || s.srvname, (pg_catalog.to_jsonb(s) - 'oid')::text, pg_catalog.format('DROP SERVER %I', s.srvname), '+', false
        FROM pg_catalog.pg_foreign_server s WHERE (s.tableoid, s.oid) NOT IN (SELECT class, oid FROM member)
    UNION ALL SELECT pg_catalog.format('user mapping of %s for server %s', u.usename, u.srvname), u.umoptions::text,
            pg_catalog.format('DROP USER MAPPING FOR %s SERVER %I', CASE WHEN u.umuser = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(u.usename) END, u.srvname), '+', false
        FROM pg_catalog.pg_user_mappings u
    UNION ALL SELECT 'event trigger ' || e.evtname, '', pg_catalog.format('DROP EVENT TRIGGER %I', e.evtname), '+', e.evtenabled <> 'D'
        FROM pg_catalog.pg_event_trigger e JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname <> 'pgumbra' AND (e.tableoid, e.oid) NOT IN (SELECT class, oid FROM member)
    UNION ALL SELECT 'publication ' || b.pubname, (pg_catalog.to_jsonb(b) - 'oid')::text || (
                SELECT coalesce(pg_catalog.string_agg(d.classid || '.' || d.objid, ' ' ORDER BY d.classid, d.objid), '') FROM pg_catalog.pg_depend d
                WHERE d.refclassid = b.tableoid AND d.refobjid = b.oid), -- its tables and schemas
            pg_catalog.format('DROP PUBLICATION %I', b.pubname), '+', b.puballtables
        FROM pg_catalog.pg_publication b WHERE (b.tableoid, b.oid) NOT IN (SELECT class, oid FROM member)
    UNION ALL SELECT 'subscription ' || s.subname, '', pg_catalog.format('DROP SUBSCRIPTION %I', s.subname), '+', false
        FROM db JOIN pg_catalog.pg_subscription s ON s.subdbid = db.oid
    UNION ALL SELECT 'language ' || l.lanname, (pg_catalog.to_jsonb(l) - 'oid')::text, pg_catalog.format('DROP LANGUAGE %I', l.lanname), '+', false
        FROM pg_catalog.pg_language l WHERE l.oid >= 16384 AND (l.tableoid, l.oid) NOT IN (SELECT class, oid FROM member)
    UNION ALL SELECT pg_catalog.format('transform of %s for language %s', pg_catalog.format_type(t.trftype, NULL), l.lanname), (pg_catalog.to_jsonb(t) - 'oid')::text,
            pg_catalog.format('DROP TRANSFORM FOR %s LANGUAGE %I', pg_catalog.format_type(t.trftype, NULL), l.lanname), '+', false
        FROM pg_catalog.pg_transform t JOIN pg_catalog.pg_language l ON l.oid = t.trflang WHERE (t.tableoid, t.oid) NOT IN (SELECT class, oid FROM member)
    UNION ALL SELECT 'access method ' || m.amname, m.amhandler::text, pg_catalog.format('DROP ACCESS METHOD %I', m.amname), '+', false
        FROM pg_catalog.pg_am m WHERE m.oid >= 16384 AND (m.tableoid, m.oid) NOT IN (SELECT class, oid FROM member)
),
here AS (SELECT label, pg_catalog.hashtextextended(coalesce(says, '') COLLATE "C", 0)::text AS hash, undo, counts, told FROM belonging)
