-- Which of tables $1, or of their partitions, have triggers that are not ours,
-- foreign keys' among them; and who asks.
SELECT coalesce((SELECT pg_catalog.array_agg(DISTINCT c.oid::pg_catalog.regclass::text)
    FROM pg_catalog.unnest($1::text[]) w (name)
    CROSS JOIN LATERAL (SELECT pg_catalog.to_regclass(w.name)::oid AS oid
                        UNION SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass(w.name))) m
    JOIN pg_catalog.pg_class c ON c.oid = m.oid
    JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid AND t.tgenabled <> 'D'
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname <> 'pgumbra'), '{}'), current_user::text
