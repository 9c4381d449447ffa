WITH {{scope}}
SELECT e.evtname::text, ''
FROM pg_catalog.pg_event_trigger e
JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
CROSS JOIN asked
WHERE e.evtenabled <> 'D' AND n.nspname <> 'pgumbra' AND e.evtname <> ALL (asked.told)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass AND d.objid = e.oid AND d.deptype = 'e')
ORDER BY 1
