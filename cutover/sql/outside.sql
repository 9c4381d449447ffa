-- Making a foreign key locks the referenced table against writes.
SELECT DISTINCT n.nspname::text, c.relname::text
FROM pg_constraint f
JOIN pg_class r ON r.oid = f.conrelid
JOIN pg_namespace rn ON rn.oid = r.relnamespace
JOIN pg_class c ON c.oid = f.confrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE f.contype = 'f' AND rn.nspname = ANY ($1) AND n.nspname <> ALL ($1)
ORDER BY 1, 2
