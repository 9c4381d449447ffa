ALTER TABLE audit.events ADD COLUMN kind smallint;
UPDATE audit.events SET kind = CASE what WHEN 'login' THEN 1 WHEN 'logout' THEN 2 ELSE 3 END;
ALTER TABLE audit.events ALTER COLUMN kind SET NOT NULL;
ALTER TABLE audit.events ADD CONSTRAINT events_kind CHECK (kind BETWEEN 1 AND 9);
