-- What belongs to this database rather than to its tables, a row each:
--   kind      setting, grant, comment, or the owner of a schema
--   schema    of a grant: empty is the database itself
--   role      of a setting: empty is all; of a grant: empty is PUBLIC; the owner
--   name      of the setting, or the privilege
--   value     of the setting, or the comment
--   grantable WITH GRANT OPTION
--   owner     the grant is the owner's own
--   super     the grantee needs no grant
-- $1 the schemas whose grants and owners are read.
WITH this AS (
    SELECT oid, datdba, datacl FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
), object AS (
    SELECT '' AS schema, datdba AS owner, coalesce(datacl, pg_catalog.acldefault('d', datdba)) AS acl FROM this
  UNION ALL
    SELECT nspname, nspowner, coalesce(nspacl, pg_catalog.acldefault('n', nspowner))
    FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1)
)
SELECT 'setting' AS kind, '' AS schema, coalesce(r.rolname, '') AS role,
       pg_catalog.split_part(x.setting, '=', 1) AS name, pg_catalog.substr(x.setting, pg_catalog.strpos(x.setting, '=') + 1) AS value,
       false AS grantable, false AS owner, false AS super
FROM this
JOIN pg_catalog.pg_db_role_setting s ON s.setdatabase = this.oid
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS x (setting)
UNION ALL
SELECT 'grant', o.schema, coalesce(r.rolname, ''), a.privilege_type, '', a.is_grantable, a.grantee = o.owner, coalesce(r.rolsuper, false)
FROM object o
CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) a
LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
WHERE a.grantee = 0 OR r.oid IS NOT NULL
UNION ALL
SELECT 'owner', nspname, pg_catalog.pg_get_userbyid(nspowner), '', '', false, true, false
FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1)
UNION ALL
SELECT 'comment', '', '', '', d.text, false, false, false
FROM this CROSS JOIN LATERAL (SELECT pg_catalog.shobj_description(this.oid, 'pg_database')) AS d (text)
WHERE d.text IS NOT NULL
ORDER BY 1, 2, 3, 4, 5
