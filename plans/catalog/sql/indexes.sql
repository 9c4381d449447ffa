SELECT i.indexrelid, n.nspname, c.relname, i.indrelid, i.indisunique, i.indisprimary, i.indimmediate,
       i.indisvalid AND i.indisready AS valid, i.indpred IS NOT NULL AS partial, i.indisexclusion,
       coalesce(h.inhparent, 0)::oid AS parent, coalesce(k.oid, 0)::oid AS con,
       keys.nums, keys.equals, keys.collations
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x') AND k.conrelid = i.indrelid
CROSS JOIN LATERAL (
    SELECT array_agg(i.indkey[o.pos] ORDER BY o.pos) AS nums,
           array_agg(coalesce('OPERATOR(' || quote_ident(opn.nspname) || '.' || op.oprname || ')', '')
                     ORDER BY o.pos) AS equals,
           array_agg(coalesce(quote_ident(ln.nspname) || '.' || quote_ident(l.collname), '') ORDER BY o.pos) AS collations
    FROM generate_series(0, i.indnkeyatts - 1) o(pos)
    JOIN pg_opclass oc ON oc.oid = i.indclass[o.pos]
    LEFT JOIN pg_amop am ON am.amopfamily = oc.opcfamily AND am.amoplefttype = oc.opcintype
                        AND am.amoprighttype = oc.opcintype AND am.amopstrategy = 3 AND am.amoppurpose = 's'
                        AND oc.opcmethod = 403
    LEFT JOIN pg_operator op ON op.oid = am.amopopr
    LEFT JOIN pg_namespace opn ON opn.oid = op.oprnamespace
    LEFT JOIN pg_collation l ON l.oid = i.indcollation[o.pos]
    LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
) keys
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname
