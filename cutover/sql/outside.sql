-- Tables outside of schemas $2 that foreign keys of tables in $1 refer to, and those named
-- $3.$4, as far as we may lock them: making a foreign key locks the referenced table
-- against writes, and needs no more than REFERENCES on it.
WITH referenced AS (
	SELECT f.confrelid AS oid
	FROM pg_constraint f
	JOIN pg_class r ON r.oid = f.conrelid
	JOIN pg_namespace n ON n.oid = r.relnamespace
	WHERE f.contype = 'f' AND n.nspname = ANY ($1)
	UNION
	SELECT c.oid
	FROM ROWS FROM (unnest($3::text[]), unnest($4::text[])) AS t (schema, name)
	JOIN pg_namespace n ON n.nspname = t.schema
	JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name AND c.relkind IN ('r', 'p')
)
SELECT n.nspname::text, c.relname::text
FROM referenced
JOIN pg_class c USING (oid)
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname <> ALL ($2) AND has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
ORDER BY 1, 2
