-- Tables that a subscription writes, enabled or not. (pg_subscription itself is
-- not everybody's to read.)
WITH {{scope}}
SELECT DISTINCT pg_catalog.format('%I.%I', s.nspname, c.relname), c.oid::text
FROM pg_catalog.pg_subscription_rel r
JOIN pg_catalog.pg_class c ON c.oid = r.srrelid
JOIN schema s ON s.oid = c.relnamespace
ORDER BY 1
