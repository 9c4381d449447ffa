SELECT template, part, snapshot FROM app.lines ORDER BY 1, 2;
SELECT id, label, size FROM app.parts ORDER BY id;
SELECT conname, convalidated FROM pg_constraint WHERE conrelid IN ('app.lines'::regclass, 'app.parts'::regclass) AND contype <> 'n' ORDER BY 1;
