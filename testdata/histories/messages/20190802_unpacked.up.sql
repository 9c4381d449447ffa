ALTER TABLE messages.boxes DROP COLUMN quota;
ALTER TABLE messages.boxes ADD COLUMN quota bigint;
UPDATE messages.boxes SET quota = (settings ->> 'quota')::bigint;
