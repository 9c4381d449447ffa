-- Unique and exclusion indexes of schemas $1 whose idea of what is equal depends
-- on a locale, and on what: 'icu' by a nondeterministic collation, 'database' by
-- folding case as the database does. What a function of the user's does inside is
-- read from its text.
WITH key AS MATERIALIZED (
    SELECT i.indexrelid, i.indrelid, i.indkey, i.indcollation, pg_catalog.concat(i.indexprs, i.indpred) AS tree
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1) AND (i.indisunique OR i.indisexclusion)
), tree AS (
    SELECT indexrelid, tree FROM key
  UNION ALL
    SELECT k.indexrelid, d.adbin::text FROM key k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.indrelid AND a.attnum = ANY (k.indkey) AND a.attgenerated <> ''
    JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
), called AS (
    SELECT t.indexrelid, m.oid[1]::oid AS oid FROM tree t, LATERAL pg_catalog.regexp_matches(t.tree, ':(?:funcid|opfuncid) ([0-9]+)', 'g') AS m (oid)
), found AS (
    SELECT k.indexrelid, CASE l.collprovider WHEN 'd' THEN 'database' WHEN 'c' THEN 'database' ELSE 'icu' END AS by, pg_catalog.format('the collation %s', l.collname) AS what
    FROM key k JOIN pg_catalog.pg_collation l ON l.oid = ANY (k.indcollation) AND NOT l.collisdeterministic
  UNION ALL
    SELECT k.indexrelid, 'database', 'citext'
    FROM key k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.indexrelid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype WHERE 'citext' IN (t.typname, b.typname)
  UNION ALL
    SELECT c.indexrelid, 'database', pg_catalog.format('%s()', p.proname)
    FROM called c JOIN pg_catalog.pg_proc p ON p.oid = c.oid
    WHERE CASE WHEN p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
          THEN p.proname IN ('lower', 'upper', 'initcap', 'casefold') AND p.proargtypes[0] = 'pg_catalog.text'::pg_catalog.regtype OR p.proname ~ '^(text|name|bpchar)ic(like|nlike|regexeq|regexne)$'
          ELSE p.proname ~ 'citext|unaccent' OR p.prosrc ~* '\m(lower|upper|initcap|casefold|citext|ilike|unaccent)\M' OR pg_catalog.to_jsonb(p) ->> 'prosqlbody' IS NOT NULL END
)
SELECT pg_catalog.format('%s.%s', n.nspname, c.relname), f.by, pg_catalog.string_agg(DISTINCT f.what, ', ' ORDER BY f.what)
FROM found f JOIN pg_catalog.pg_class c ON c.oid = f.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
GROUP BY n.nspname, c.relname, f.by ORDER BY 1, 2
