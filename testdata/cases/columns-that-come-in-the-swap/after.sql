SELECT n.id, n.eui, g.name, g.owner, g.note FROM app.nodes n JOIN app.groups g ON g.id = n.grp ORDER BY 1;
SELECT s.id, s.script, c.body, s.last_number FROM app.steps s LEFT JOIN app.scripts c ON c.id = s.script ORDER BY 1;
SELECT name, value FROM app.flags ORDER BY 1;
SELECT attname, attnum FROM pg_attribute WHERE attrelid = 'app.groups'::regclass AND attnum > 0 ORDER BY 2;
SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid IN ('app.nodes'::regclass, 'app.groups'::regclass) ORDER BY 1;
