UPDATE app.docs SET data = (data - 'old') || jsonb_build_object('new', data -> 'old') WHERE data ? 'old';
UPDATE app.docs SET data = jsonb_set(data, '{name,full}', to_jsonb(concat_ws(' ', data #>> '{name,first}', data #>> '{name,last}')), true) WHERE jsonb_typeof(data -> 'name') = 'object';
