-- Versions of catalog rows by their xmin. VACUUM and ANALYZE update pg_class in
-- place and leave it.
WITH member AS MATERIALIZED (
    SELECT m::pg_catalog.oid AS oid
    FROM pgumbra.captured k, pg_catalog.json_array_elements_text(k.fingerprint->'members') m
    WHERE k.run_id = $1 AND k.direction = 'forward'
), versions(kind, oid, xmin) AS (
    SELECT 'class', c.oid, c.xmin FROM pg_catalog.pg_class c JOIN member m ON m.oid = c.oid
  UNION ALL
    SELECT 'attribute', a.attrelid, a.xmin FROM pg_catalog.pg_attribute a JOIN member m ON m.oid = a.attrelid
  UNION ALL
    SELECT 'default', d.adrelid, d.xmin FROM pg_catalog.pg_attrdef d JOIN member m ON m.oid = d.adrelid
  UNION ALL
    SELECT 'constraint', c.oid, c.xmin FROM pg_catalog.pg_constraint c JOIN member m ON m.oid = c.conrelid
  UNION ALL
    SELECT 'index', i.indexrelid, i.xmin FROM pg_catalog.pg_index i JOIN member m ON m.oid = i.indrelid
  UNION ALL
    SELECT 'index class', c.oid, c.xmin FROM pg_catalog.pg_index i JOIN member m ON m.oid = i.indrelid
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  UNION ALL
    SELECT 'trigger', t.oid, t.xmin FROM pg_catalog.pg_trigger t JOIN member m ON m.oid = t.tgrelid
  UNION ALL
    SELECT 'rule', r.oid, r.xmin FROM pg_catalog.pg_rewrite r JOIN member m ON m.oid = r.ev_class
  UNION ALL
    SELECT 'policy', p.oid, p.xmin FROM pg_catalog.pg_policy p JOIN member m ON m.oid = p.polrelid
  UNION ALL
    SELECT 'child', i.inhrelid, i.xmin FROM pg_catalog.pg_inherits i JOIN member m ON m.oid = i.inhparent
  UNION ALL
    SELECT 'parent', i.inhrelid, i.xmin FROM pg_catalog.pg_inherits i JOIN member m ON m.oid = i.inhrelid
  UNION ALL
    SELECT 'schema', n.oid, n.xmin FROM pg_catalog.pg_namespace n
    WHERE n.oid IN (SELECT c.relnamespace FROM pg_catalog.pg_class c JOIN member m ON m.oid = c.oid)
)
SELECT COALESCE(pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat(kind, oid, ' ', xmin), ',' ORDER BY kind, oid, xmin::text)), '') FROM versions
