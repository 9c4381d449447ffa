WITH RECURSIVE tree AS (
    SELECT i.inhrelid, i.inhparent
    FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'p'
), root AS (
    SELECT inhrelid AS member, inhparent AS top FROM tree
    UNION ALL
    SELECT root.member, tree.inhparent FROM root JOIN tree ON tree.inhrelid = root.top
)
SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relpersistence::text, pg_get_userbyid(c.relowner) AS owner,
       c.reltype, c.relrowsecurity, c.relforcerowsecurity, c.relispopulated,
       coalesce(p.parents, '{}') AS parents,
       coalesce(r.top, 0)::oid AS root,
       c.relispartition AND c.relkind IN ('r', 'f') AS leaf,
       e.objid IS NOT NULL AS extension,
       coalesce(pg_get_expr(c.relpartbound, c.oid), '') AS bound,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) ELSE '' END AS definition,
       greatest(c.reltuples, 0)::bigint AS tuples
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (SELECT inhrelid, array_agg(inhparent ORDER BY inhseqno) AS parents
           FROM pg_inherits GROUP BY inhrelid) p ON p.inhrelid = c.oid
LEFT JOIN root r ON r.member = c.oid AND NOT EXISTS (SELECT FROM tree WHERE tree.inhrelid = r.top)
LEFT JOIN pg_depend e ON e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e'
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname
