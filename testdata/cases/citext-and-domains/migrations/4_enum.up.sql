ALTER TYPE app.state RENAME VALUE 'gone' TO 'left';
ALTER TABLE app.users ALTER COLUMN state DROP DEFAULT;
ALTER TABLE app.users ALTER COLUMN state TYPE text USING upper(state::text);
ALTER TABLE app.users ALTER COLUMN state SET DEFAULT 'NEW', ADD CHECK (state IN ('NEW', 'PAID', 'LEFT'));
DROP TYPE app.state;
UPDATE app.users SET rank = CASE state WHEN 'LEFT' THEN 9 ELSE rank + 1 END;
