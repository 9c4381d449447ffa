ALTER TABLE app.docs ADD COLUMN full_name text, ADD COLUMN tags text[] NOT NULL DEFAULT '{}', ADD COLUMN n int GENERATED ALWAYS AS (length(data::text)) STORED;
UPDATE app.docs SET full_name = data #>> '{name,full}', data = data #- '{name,full}' WHERE jsonb_typeof(data) = 'object';
UPDATE app.docs SET tags = ARRAY(SELECT jsonb_array_elements_text(data -> 'tags')) WHERE jsonb_typeof(data -> 'tags') = 'array';
