-- Of relations $1: whether the key's is the only unique or exclusion index, and
-- whether INSERT ... ON CONFLICT serves: not where that is deferrable or partial,
-- with rules, nor with an identity column that only a default may write.
SELECT c.oid, i.n = 1 AND c.relkind = 'r',
       i.n = 1 AND c.relkind = 'r' AND i.serves
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_type <> '1')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity = 'a' AND NOT a.attisdropped)
FROM pg_catalog.pg_class c
CROSS JOIN LATERAL (
    SELECT count(*) AS n, coalesce(bool_and(indisunique AND indimmediate AND indisvalid AND indpred IS NULL AND indexprs IS NULL), false) AS serves
    FROM pg_catalog.pg_index WHERE indrelid = c.oid AND (indisunique OR indisexclusion)) i
WHERE c.oid = ANY ($1)
