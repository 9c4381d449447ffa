UPDATE app.docs SET data = (SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(data) AS e WHERE e.value <> 'null') WHERE jsonb_typeof(data) = 'object';
ALTER TABLE app.docs ALTER COLUMN meta TYPE jsonb USING meta::jsonb;
