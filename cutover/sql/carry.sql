-- Statements that give schema $2 the owner, privileges and comment of $1, and
-- with $3 its default privileges.
WITH source AS (SELECT oid, nspowner, nspacl FROM pg_namespace WHERE nspname = $1),
kinds (type, word) AS (VALUES ('r', 'TABLES'), ('S', 'SEQUENCES'), ('f', 'FUNCTIONS'), ('T', 'TYPES')),
statements (place, text) AS (
    SELECT 1, format('ALTER SCHEMA %I OWNER TO %I', $2::text, pg_get_userbyid(nspowner)) FROM source
    UNION ALL
    SELECT 2, format('REVOKE ALL ON SCHEMA %I FROM PUBLIC, %I', $2::text, pg_get_userbyid(nspowner)) FROM source WHERE nspacl IS NOT NULL
    UNION ALL
    SELECT 3, format('GRANT %s ON SCHEMA %I TO %s%s', a.privilege_type, $2::text,
                     CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                     CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
    FROM source CROSS JOIN LATERAL aclexplode(nspacl) a
    UNION ALL
    SELECT 4, format('COMMENT ON SCHEMA %I IS %L', $2::text, obj_description(oid, 'pg_namespace')) FROM source WHERE $3
    UNION ALL
    SELECT 5, format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT %s ON %s TO %s%s', pg_get_userbyid(d.defaclrole), $2::text,
                     a.privilege_type, k.word, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                     CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
    FROM source
    JOIN pg_default_acl d ON d.defaclnamespace = source.oid
    JOIN kinds k ON k.type = d.defaclobjtype
    CROSS JOIN LATERAL aclexplode(d.defaclacl) a
    WHERE $3
)
SELECT text FROM statements ORDER BY place, text
