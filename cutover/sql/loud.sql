-- Triggers of the user's on tables of schemas $1 that fire for replay, too. Those of
-- partitions follow their parent's.
SELECT t.tgrelid, t.tgname::text, t.tgenabled::text
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid
JOIN pg_namespace pn ON pn.oid = p.pronamespace
WHERE n.nspname = ANY ($1) AND pn.nspname <> $2 AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled IN ('A', 'R')
ORDER BY 1, 2
