SELECT r.rolname::text,
       array_remove(ARRAY[CASE WHEN NOT r.rolsuper THEN 'NOSUPERUSER' END, CASE WHEN r.rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END,
                 CASE WHEN r.rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END, CASE WHEN r.rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END,
                 CASE WHEN r.rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END, CASE WHEN r.rolreplication THEN 'REPLICATION' ELSE 'NOREPLICATION' END,
                 CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END, 'CONNECTION LIMIT ' || r.rolconnlimit,
                 coalesce('VALID UNTIL ' || quote_literal(r.rolvaliduntil), 'VALID UNTIL ''infinity''')]::text[], NULL),
       r.rolcanlogin,
       ARRAY (SELECT DISTINCT g.rolname::text FROM pg_auth_members a JOIN pg_roles g ON g.oid = a.roleid WHERE a.member = r.oid AND g.rolname !~ '^pg_' ORDER BY 1),
       ARRAY (SELECT DISTINCT quote_ident(g.rolname) || ' TO ' || quote_ident(r.rolname) || CASE WHEN a.admin_option THEN ' WITH ADMIN OPTION' ELSE '' END
              FROM pg_auth_members a JOIN pg_roles g ON g.oid = a.roleid WHERE a.member = r.oid AND NOT g.rolsuper ORDER BY 1),
       coalesce((SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = 0 AND setrole = r.oid), '{}'),
       array_remove(ARRAY[CASE WHEN r.rolsuper THEN 'SUPERUSER' END]
              || ARRAY (SELECT DISTINCT 'membership in ' || g.rolname FROM pg_auth_members a JOIN pg_roles g ON g.oid = a.roleid WHERE a.member = r.oid AND g.rolsuper ORDER BY 1), NULL),
       {{password}}
FROM {{from}} r
WHERE r.rolname !~ '^pg_'
  -- those of this or another plan, which go with their scratch database
  AND NOT starts_with(coalesce(shobj_description(r.oid, 'pg_authid'), ''), 'pgumbra scratch role of database ')
ORDER BY r.rolname
