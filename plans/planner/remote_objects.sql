-- What is there in this database whatever a run makes: the database itself, by an
-- empty name, and the schemas of $1.
--   initial   the owner is the one that the server itself gave it
--   grants    privileges, those by default too: of whom (empty is PUBLIC), and
--             whether that role is a superuser
WITH object AS (
    SELECT '' AS name, datdba AS owner, coalesce(datacl, acldefault('d', datdba)) AS acl, shobj_description(oid, 'pg_database') AS comment
    FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT nspname::text, nspowner, coalesce(nspacl, acldefault('n', nspowner)), obj_description(oid, 'pg_namespace')
    FROM pg_namespace WHERE nspname = ANY ($1::text[])
)
SELECT o.name, pg_get_userbyid(o.owner)::text, o.owner = 10 OR pg_get_userbyid(o.owner) = 'pg_database_owner' AS initial, coalesce(o.comment, ''),
    (SELECT coalesce(json_agg(g ORDER BY g."Role", g."Privilege"), '[]') FROM (
        SELECT coalesce(r.rolname::text, '') AS "Role", a.privilege_type AS "Privilege", bool_or(a.is_grantable) AS "Grantable",
            coalesce(bool_or(r.rolsuper), false) AS "Super"
        FROM aclexplode(o.acl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE a.grantee = 0 OR r.oid IS NOT NULL
        GROUP BY 1, 2) g) AS grants
FROM object o
