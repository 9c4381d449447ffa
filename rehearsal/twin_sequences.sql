-- Leads each sequence that fills a column past the numbers in it that clients drew, and then ahead by some more.
-- drawn is how far clients drew by then, by the sequence's name: what is beyond was written without drawing. One that
-- comes to its end by it, or gave no number yet, is left where it is.
CREATE FUNCTION pg_temp.pgumbra_past_rows(drawn jsonb, ahead integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	fills record;
	highest numeric;
	next numeric;
BEGIN
	FOR fills IN
		SELECT s.oid::regclass AS sequence, q.seqincrement AS step, q.seqmin AS least, q.seqmax AS most, a.attrelid::regclass AS relation, a.attname AS name,
			(drawn ->> (n.nspname || '.' || s.relname))::bigint AS until,
			row_number() OVER (PARTITION BY s.oid ORDER BY a.attrelid, a.attnum) = count(*) OVER (PARTITION BY s.oid) AS last
		FROM pg_class s
		JOIN pg_namespace n ON n.oid = s.relnamespace
		JOIN pg_sequence q ON q.seqrelid = s.oid
		JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid AND d.classid = 'pg_attrdef'::regclass
			OR d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
		LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
		JOIN pg_attribute a ON a.attrelid = coalesce(f.adrelid, d.refobjid) AND a.attnum = coalesce(f.adnum, d.refobjsubid)
		WHERE a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
		ORDER BY s.oid, last
	LOOP
		EXECUTE format(CASE WHEN fills.step > 0 THEN 'SELECT max(%I) FROM %s WHERE %1$I <= $1' ELSE 'SELECT min(%I) FROM %s WHERE %1$I >= $1' END, fills.name, fills.relation)
			INTO highest USING fills.until;
		EXECUTE format('SELECT last_value FROM %s WHERE is_called', fills.sequence) INTO next;
		next := CASE WHEN fills.step > 0 THEN greatest(next, highest) ELSE least(next, highest) END + CASE WHEN fills.last THEN ahead * fills.step ELSE 0 END;
		IF next BETWEEN fills.least AND fills.most THEN
			PERFORM setval(fills.sequence, next::bigint);
		END IF;
	END LOOP;
END
$$;
