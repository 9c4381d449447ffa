-- Columns with the SQL text of their types, domains resolved;
-- whether equal values are always the same bytes: not where 1.0 = 1.00, -0 = 0
-- or, in some collations, a = A; whether a value may be long, kilobytes or more;
-- and whether its length is known without reading it.
WITH RECURSIVE typed AS (
    {columns}
  UNION ALL
    SELECT d.attnum, d.attname, d.attcollation, t.typbasetype, t.typtypmod, d.attstorage
    FROM typed d JOIN pg_catalog.pg_type t ON t.oid = d.typ
    WHERE t.typtype = 'd'
)
SELECT d.attname,
       pg_catalog.format_type(d.typ, d.typmod)
       || COALESCE(' COLLATE ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(l.collname), ''),
       COALESCE(l.collisdeterministic, true) AND (t.typtype = 'e' OR d.typ = ANY ('{int2,int4,int8,oid,bool,uuid,date,
           time,timestamp,timestamptz,bytea,text,varchar}'::pg_catalog.regtype[])),
       d.attstorage <> 'p' AND NOT (d.typmod >= 0 AND d.typ = 'numeric'::pg_catalog.regtype)
           AND NOT (d.typmod BETWEEN 0 AND 260 AND d.typ = ANY ('{varchar,bpchar}'::pg_catalog.regtype[])),
       d.typ = ANY ('{bytea,text,varchar,bpchar,xml}'::pg_catalog.regtype[])
FROM typed d
JOIN pg_catalog.pg_type t ON t.oid = d.typ AND t.typtype <> 'd'
LEFT JOIN pg_catalog.pg_collation l ON l.oid = d.attcollation
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace
ORDER BY d.attnum
