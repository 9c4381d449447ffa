SELECT o.kind, o.name
FROM (
    SELECT 'pg_event_trigger'::regclass AS class, oid, 'event trigger' AS kind, evtname::text AS name FROM pg_event_trigger
    WHERE evtname !~ '^pgumbra'
    UNION ALL
    SELECT 'pg_publication'::regclass, oid, 'publication', pubname::text FROM pg_publication
    UNION ALL
    SELECT 'pg_subscription'::regclass, oid, 'subscription', subname::text FROM pg_subscription
    WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION ALL
    SELECT 'pg_foreign_server'::regclass, oid, 'foreign server', srvname::text FROM pg_foreign_server
    UNION ALL
    SELECT 'pg_foreign_data_wrapper'::regclass, oid, 'foreign-data wrapper', fdwname::text FROM pg_foreign_data_wrapper
    UNION ALL
    SELECT 'pg_language'::regclass, oid, 'language', lanname::text FROM pg_language WHERE oid >= 16384
    UNION ALL
    SELECT 'pg_cast'::regclass, oid, 'cast', format_type(castsource, NULL) || ' AS ' || format_type(casttarget, NULL) FROM pg_cast WHERE oid >= 16384
    UNION ALL
    SELECT 'pg_transform'::regclass, t.oid, 'transform', format_type(t.trftype, NULL) || ' for language ' || l.lanname
    FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang
    UNION ALL
    SELECT 'pg_am'::regclass, oid, 'access method', amname::text FROM pg_am WHERE oid >= 16384
) o
-- an extension's come with it, and what is internal (the cast of a range to its multirange) with its type
WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = o.class AND e.objid = o.oid AND e.deptype IN ('e', 'i'))
ORDER BY o.kind, o.name
