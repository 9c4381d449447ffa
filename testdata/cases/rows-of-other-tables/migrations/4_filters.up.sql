DELETE FROM app.votes USING app.posts p WHERE p.id = votes.post AND p.state = 'gone';
DELETE FROM app.votes WHERE NOT EXISTS (SELECT FROM app.users WHERE id = voter);
UPDATE app.posts SET state = 'hot' WHERE state = 'open' AND id IN (SELECT post FROM app.votes WHERE worth > 1);
UPDATE app.teams SET name = name || coalesce(' of ' || (SELECT email FROM app.users WHERE users.id = teams.lead), '') WHERE EXISTS (SELECT 1 FROM app.users WHERE team = teams.id AND karma > 100);
ALTER TABLE app.users DROP COLUMN team;
ALTER TABLE app.teams ADD boss text;
UPDATE app.teams SET boss = (SELECT login FROM app.users WHERE users.id = teams.lead ORDER BY karma LIMIT 1) WHERE NOT EXISTS (SELECT 1 FROM app.posts WHERE author = lead AND state = 'gone' LIMIT 1);
