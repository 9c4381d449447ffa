-- Triggers, policies and rules of tables and views, but for those that PostgreSQL or a parent table brings along. The
-- fingerprint speaks by object ids and column numbers: a rename leaves it as it is.
SELECT 'trigger', g.oid, g.tgrelid, g.tgname, regexp_replace(pg_get_triggerdef(g.oid, true), '^CREATE (CONSTRAINT )?TRIGGER ("[^"]*"|\S+) ', ''),
	md5(concat_ws('/', g.tgfoid, g.tgtype, g.tgenabled, g.tgattr, g.tgdeferrable, g.tginitdeferred, encode(g.tgargs, 'hex'), g.tgqual::text, g.tgoldtable, g.tgnewtable))
FROM pg_trigger g WHERE NOT g.tgisinternal AND g.tgparentid = 0
UNION ALL
SELECT 'policy', p.oid, p.polrelid, p.polname, concat_ws(' ', CASE p.polcmd WHEN 'r' THEN 'for SELECT' WHEN 'a' THEN 'for INSERT' WHEN 'w' THEN 'for UPDATE' WHEN 'd' THEN 'for DELETE' ELSE 'for ALL' END,
	'USING ' || pg_get_expr(p.polqual, p.polrelid), 'WITH CHECK ' || pg_get_expr(p.polwithcheck, p.polrelid)),
	md5(concat_ws('/', p.polcmd, p.polpermissive, p.polroles::text, p.polqual::text, p.polwithcheck::text))
FROM pg_policy p
UNION ALL
SELECT 'rule', w.oid, w.ev_class, w.rulename, '', md5(concat_ws('/', w.ev_type, w.ev_enabled, w.is_instead, w.ev_qual::text, w.ev_action::text))
FROM pg_rewrite w WHERE w.rulename <> '_RETURN' AND w.oid >= 16384
ORDER BY 1, 3, 4
