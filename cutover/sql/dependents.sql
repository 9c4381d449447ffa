-- What outside schemas $1 depends on what they hold; $2 counts as inside.
-- $3: shared types and sequences, which whoever uses them follows.
-- Members of extensions stay where they are and are no target.
WITH inside AS (
    SELECT oid, nspname = ANY ($1) AS target FROM pg_namespace
    WHERE nspname = ANY ($1) OR nspname = ANY ($2) OR nspname LIKE 'pg\_toast%' OR nspname LIKE 'pg\_temp%'
),
shared (class, oid) AS (
    SELECT 'pg_type'::regclass::oid, to_regtype(n)::oid FROM unnest($3::text[]) n WHERE to_regtype(n) IS NOT NULL
    UNION ALL SELECT 'pg_class'::regclass, to_regclass(n)::oid FROM unnest($3::text[]) n WHERE to_regclass(n) IS NOT NULL
),
target (class, oid) AS (
    SELECT 'pg_class'::regclass::oid, c.oid FROM pg_class c WHERE c.relnamespace IN (SELECT oid FROM inside WHERE target)
    UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type t WHERE t.typnamespace IN (SELECT oid FROM inside WHERE target)
    UNION ALL SELECT 'pg_proc'::regclass, p.oid FROM pg_proc p WHERE p.pronamespace IN (SELECT oid FROM inside WHERE target)
    UNION ALL SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k WHERE k.connamespace IN (SELECT oid FROM inside WHERE target)
    UNION ALL SELECT 'pg_operator'::regclass, o.oid FROM pg_operator o WHERE o.oprnamespace IN (SELECT oid FROM inside WHERE target)
    UNION ALL SELECT 'pg_collation'::regclass, o.oid FROM pg_collation o WHERE o.collnamespace IN (SELECT oid FROM inside WHERE target)
),
dependent AS (
    SELECT DISTINCT d.classid, d.objid, d.objsubid,
           coalesce(c.relnamespace, t.typnamespace, p.pronamespace, rc.relnamespace, ac.relnamespace,
                    k.connamespace, tc.relnamespace, pc.relnamespace, o.oprnamespace) AS namespace
    FROM pg_depend d
    JOIN target x ON x.class = d.refclassid AND x.oid = d.refobjid
    LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
    LEFT JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
    LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    LEFT JOIN pg_class rc ON rc.oid = r.ev_class
    LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
    LEFT JOIN pg_class ac ON ac.oid = a.adrelid
    LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
    LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
    LEFT JOIN pg_class tc ON tc.oid = g.tgrelid
    LEFT JOIN pg_policy y ON d.classid = 'pg_policy'::regclass AND y.oid = d.objid
    LEFT JOIN pg_class pc ON pc.oid = y.polrelid
    LEFT JOIN pg_operator o ON d.classid = 'pg_operator'::regclass AND o.oid = d.objid
    WHERE d.deptype IN ('n', 'a')
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e')
      AND NOT (d.refclassid, d.refobjid) IN (SELECT h.class, h.oid FROM shared h)
)
SELECT pg_describe_object(classid, objid, objsubid)
FROM dependent
WHERE namespace IS NOT NULL AND namespace NOT IN (SELECT oid FROM inside)
   OR namespace IS NULL AND classid IN ('pg_publication_rel'::regclass, 'pg_event_trigger'::regclass)
ORDER BY 1
LIMIT 20
