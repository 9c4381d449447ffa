-- Statements that keep everybody but us out of schemas $1: the schema is ours,
-- and nobody else is granted anything on it.
SELECT sql FROM (
    SELECT 1 AS turn, pg_catalog.format('ALTER SCHEMA %I OWNER TO CURRENT_USER', n.nspname) AS sql
    FROM pg_catalog.pg_namespace n
    WHERE n.nspname = ANY ($1) AND n.nspowner <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)
  UNION
    SELECT 2, pg_catalog.format('REVOKE ALL ON SCHEMA %I FROM %s CASCADE', n.nspname,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
    FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a
    WHERE n.nspname = ANY ($1) AND a.grantee <> n.nspowner AND a.grantee <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)
) AS statements ORDER BY turn, sql
