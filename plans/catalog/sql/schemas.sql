SELECT n.oid, n.nspname, pg_get_userbyid(n.nspowner) AS owner, coalesce(n.nspacl::text, '') AS acl,
       coalesce(obj_description(n.oid, 'pg_namespace'), '') AS comment,
       EXISTS (SELECT FROM pg_depend m
               WHERE m.deptype = 'e'
                 AND CASE m.classid
                     WHEN 'pg_class'::regclass THEN (SELECT relnamespace FROM pg_class WHERE oid = m.objid)
                     WHEN 'pg_type'::regclass THEN (SELECT typnamespace FROM pg_type WHERE oid = m.objid)
                     WHEN 'pg_proc'::regclass THEN (SELECT pronamespace FROM pg_proc WHERE oid = m.objid)
                     WHEN 'pg_operator'::regclass THEN (SELECT oprnamespace FROM pg_operator WHERE oid = m.objid)
                     WHEN 'pg_opclass'::regclass THEN (SELECT opcnamespace FROM pg_opclass WHERE oid = m.objid)
                     WHEN 'pg_opfamily'::regclass THEN (SELECT opfnamespace FROM pg_opfamily WHERE oid = m.objid)
                     WHEN 'pg_collation'::regclass THEN (SELECT collnamespace FROM pg_collation WHERE oid = m.objid)
                     WHEN 'pg_conversion'::regclass THEN (SELECT connamespace FROM pg_conversion WHERE oid = m.objid)
                     WHEN 'pg_ts_config'::regclass THEN (SELECT cfgnamespace FROM pg_ts_config WHERE oid = m.objid)
                     WHEN 'pg_ts_dict'::regclass THEN (SELECT dictnamespace FROM pg_ts_dict WHERE oid = m.objid)
                     WHEN 'pg_ts_parser'::regclass THEN (SELECT prsnamespace FROM pg_ts_parser WHERE oid = m.objid)
                     WHEN 'pg_ts_template'::regclass THEN (SELECT tmplnamespace FROM pg_ts_template WHERE oid = m.objid)
                     END = n.oid)
       OR EXISTS (SELECT FROM pg_extension e WHERE e.extnamespace = n.oid) AS has_members
FROM pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname
