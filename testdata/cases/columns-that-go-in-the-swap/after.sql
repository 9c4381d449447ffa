SELECT id, made, kind, path, config, size FROM app.snaps ORDER BY 1;
SELECT id, name, org, repo, deleted_at FROM app.configs ORDER BY 1;
SELECT url FROM app.repos ORDER BY id;
SELECT conname FROM pg_constraint WHERE conrelid IN ('app.snaps'::regclass, 'app.configs'::regclass) AND contype <> 'n' UNION ALL SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid IN ('app.snaps'::regclass, 'app.configs'::regclass) ORDER BY 1;
SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'app'::regnamespace ORDER BY 1;
