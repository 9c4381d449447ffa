SELECT k.oid, k.conname, k.conrelid, k.contype::text, k.convalidated, k.condeferrable,
       coalesce(k.conkey, '{}') AS conkey, k.confrelid, coalesce(k.confkey, '{}') AS confkey, k.conparentid,
       pg_get_constraintdef(k.oid) AS definition
FROM pg_constraint k
JOIN pg_namespace n ON n.oid = k.connamespace
WHERE k.conrelid <> 0 AND k.contype IN ('c', 'f', 'p', 'u', 'x')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY k.conrelid, k.conname
