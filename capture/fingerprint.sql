-- What a captured table is: its structure, the columns of its unique indexes,
-- the state of the user's triggers on it, our triggers, its files, and indexes
-- that are not whole. Other indexes are no concern of capture's: whatever comes
-- or goes there, production's rows stay what they are. Sorted lines of text, so
-- that a difference can be shown. search_path is fixed: deparsed expressions depend on it.
-- PL/pgSQL keeps the plans; an array of members lets each catalog's index serve.
CREATE OR REPLACE FUNCTION {function}(root pg_catalog.oid) RETURNS pg_catalog.jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $fingerprint$
DECLARE
    members oid[] := ARRAY(SELECT root UNION SELECT relid::oid FROM pg_partition_tree(root));
    structure jsonb;
    keys text[];
    unfinished text[];
    states text[];
    triggers text[];
BEGIN
    SELECT jsonb_object_agg(per.owner, per.lines) INTO structure FROM (
        SELECT part.owner, array_agg(part.line ORDER BY part.line) AS lines FROM (
            SELECT c.oid AS owner, format('table %s.%s kind %s persistence %s row security %s %s %s', n.nspname, c.relname, c.relkind, c.relpersistence,
                          c.relrowsecurity, c.relforcerowsecurity, pg_get_expr(c.relpartbound, c.oid)) COLLATE "C" AS line
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY (members)
          UNION ALL
            SELECT a.attrelid, format('column %s.%s %s%s not null %s identity %s generated %s default %s', a.attrelid::regclass, a.attname,
                          format_type(a.atttypid, a.atttypmod), ' ' || NULLIF(a.attcollation, t.typcollation)::regcollation,
                          a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid))
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = ANY (members) AND a.attnum > 0 AND NOT a.attisdropped
          UNION ALL
            SELECT c.conrelid, format('constraint %s on %s %s', c.conname, c.conrelid::regclass, pg_get_constraintdef(c.oid))
            FROM pg_constraint c WHERE c.conrelid = ANY (members) AND c.contype NOT IN ('t', 'n')
          UNION ALL
            SELECT t.tgrelid, pg_get_triggerdef(t.oid) FROM pg_trigger t
            WHERE t.tgrelid = ANY (members) AND NOT t.tgisinternal AND NOT starts_with(t.tgname::text, '!pgumbra_')
          UNION ALL
            SELECT r.ev_class, pg_get_ruledef(r.oid) FROM pg_rewrite r WHERE r.ev_class = ANY (members)
          UNION ALL
            SELECT p.polrelid, format('policy %s on %s for %s permissive %s to %s using %s check %s', p.polname, p.polrelid::regclass, p.polcmd,
                          p.polpermissive, ARRAY(SELECT o::regrole::text FROM unnest(p.polroles) o WHERE o <> 0 ORDER BY 1),
                          pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
            FROM pg_policy p WHERE p.polrelid = ANY (members)
          UNION ALL -- a child is its own, where it is a member; else it is its parent's
            SELECT CASE WHEN i.inhrelid = ANY (members) THEN i.inhrelid ELSE i.inhparent END, format('%s inherits %s', i.inhrelid::regclass, i.inhparent::regclass)
            FROM pg_inherits i WHERE (i.inhrelid = ANY (members) OR i.inhparent = ANY (members)) AND NOT i.inhdetachpending
        ) AS part GROUP BY part.owner) AS per;
    states := ARRAY(
        SELECT format('trigger %s on %s enabled %s', t.tgname, t.tgrelid::regclass, t.tgenabled) COLLATE "C" FROM pg_trigger t
        WHERE t.tgrelid = ANY (members) AND NOT t.tgisinternal AND NOT starts_with(t.tgname::text, '!pgumbra_') ORDER BY 1);
    triggers := ARRAY(
        SELECT format('trigger %s on %s enabled %s oid %s xmin %s%s', t.tgname, t.tgrelid::regclass, t.tgenabled, t.oid, t.xmin,
                      CASE WHEN p.prosrc LIKE '%capture was broken off%' IS NOT FALSE THEN ' broken off' END) COLLATE "C"
        FROM pg_trigger t LEFT JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = ANY (members) AND NOT t.tgisinternal AND starts_with(t.tgname::text, {prefix}) ORDER BY 1);
    keys := ARRAY(
        SELECT (SELECT string_agg('"' || replace(a.attname, '"', '""') || '"', ', ' ORDER BY a.attname COLLATE "C")
                FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(num, n) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
                WHERE k.n <= i.indnkeyatts) COLLATE "C"
        FROM pg_index i WHERE i.indrelid = root AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL ORDER BY 1);
    unfinished := ARRAY(
        SELECT format('index %s', i.indexrelid::regclass) COLLATE "C" FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
        WHERE i.indrelid = ANY (members) AND NOT i.indisvalid ORDER BY 1);
    RETURN jsonb_build_object('root', root::bigint, 'keys', keys, 'unfinished', unfinished,
        'unique', ARRAY(SELECT format('%I.%I', n.nspname, c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE i.indrelid = root AND i.indisunique), 'members', ARRAY(SELECT m::bigint FROM unnest(members) m ORDER BY 1),
        'parts', structure, 'states', states, 'triggers', triggers,
        'filenodes', ARRAY(SELECT format('%s filenode %s', c.oid::regclass, pg_relation_filenode(c.oid)) COLLATE "C"
                           FROM pg_class c WHERE c.oid = ANY (members) ORDER BY 1));
END
$fingerprint$;
REVOKE ALL ON FUNCTION {function}(pg_catalog.oid) FROM PUBLIC;
