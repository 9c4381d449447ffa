CREATE TABLE trees.events_2025 PARTITION OF trees.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
ALTER TABLE trees.events RENAME COLUMN body TO text;
ALTER TABLE trees.events ADD COLUMN size int;
UPDATE trees.events SET size = length(text);
CREATE INDEX ON trees.events (size);
ALTER TABLE trees.hashed ADD COLUMN w int NOT NULL DEFAULT 5;
ALTER TABLE trees.keyless ADD COLUMN w int DEFAULT 5;
