CREATE TABLE tenancy.project_texts (project_id bigint PRIMARY KEY REFERENCES tenancy.projects ON DELETE CASCADE, words text NOT NULL, tsv tsvector GENERATED ALWAYS AS (to_tsvector('simple', words)) STORED);
INSERT INTO tenancy.project_texts (project_id, words) SELECT p.id, p.title || ' ' || array_to_string(p.tags, ' ') || coalesce(' ' || u.display_name, '') FROM tenancy.projects p LEFT JOIN tenancy.users u ON u.id = p.owner_id;
CREATE INDEX project_texts_tsv ON tenancy.project_texts USING gin (tsv);
