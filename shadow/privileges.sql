-- Statements that take an object's privileges back to what PostgreSQL itself
-- gives a new object, for each object of some schemas whose privileges differ
-- from that: default privileges of the role that made it did so. $1 the schemas,
-- $2 oids of objects that are left alone.
WITH object AS (
    SELECT 'pg_catalog.pg_namespace'::regclass AS class, n.oid, 'SCHEMA' AS word, 'n'::"char" AS kind, n.nspowner AS owner, n.nspacl AS acl
    FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1)
  UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, c.oid, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
           CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner, c.relacl
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, p.oid, 'ROUTINE', 'f'::"char", p.proowner, p.proacl
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY ($1)
  UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, t.oid, 'TYPE', 'T'::"char", t.typowner, t.typacl
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname = ANY ($1) AND t.typtype <> 'm'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)
), differing AS (
    SELECT o.word, (pg_catalog.pg_identify_object(o.class, o.oid, 0)).identity, o.acl, pg_catalog.acldefault(o.kind, o.owner) AS wanted
    FROM object o
    WHERE o.acl IS NOT NULL AND o.oid <> ALL ($2)
      AND EXISTS ((SELECT grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(o.acl)
                   EXCEPT SELECT grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(pg_catalog.acldefault(o.kind, o.owner)))
                  UNION ALL
                  (SELECT grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(pg_catalog.acldefault(o.kind, o.owner))
                   EXCEPT SELECT grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(o.acl)))
), statement AS (
    SELECT d.identity, 1 AS turn, pg_catalog.format('REVOKE ALL ON %s %s FROM %s', d.word, d.identity, g.name) AS sql
    FROM differing d, LATERAL (
        SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END AS name
        FROM pg_catalog.aclexplode(d.acl) x) g
  UNION ALL
    SELECT d.identity, 2, pg_catalog.format('GRANT %s ON %s %s TO %s', pg_catalog.string_agg(x.privilege_type, ', '), d.word, d.identity,
           CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END)
    FROM differing d, LATERAL pg_catalog.aclexplode(d.wanted) x
    GROUP BY d.identity, d.word, x.grantee
)
SELECT sql FROM statement ORDER BY identity, turn, sql
