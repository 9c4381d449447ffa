UPDATE app.users SET email = 'new@x.org' WHERE id = 3;
UPDATE app.users SET team = 7, karma = 500 WHERE id = 4;
UPDATE app.users SET id = 1000 WHERE id = 5;
UPDATE app.posts SET author = 1000 WHERE id = 8;
UPDATE app.posts SET author = NULL WHERE id = 9;
INSERT INTO app.users (id, email, team, login) VALUES (129, 'late@x.org', 2, 'late');
DELETE FROM app.users WHERE id = 6;
-- a row, the one it leads to and the one that leads there, in one transaction
BEGIN;
UPDATE app.countries SET code = 'zz', name = 'Renamed' WHERE code = 'b';
UPDATE app.teams SET country = 'zz' WHERE id = 2;
UPDATE app.users SET team = 2 WHERE id = 10;
COMMIT;
-- both ends of a way change, and the way is cut
UPDATE app.teams SET country = NULL WHERE id = 3;
DELETE FROM app.countries WHERE code = 'c';
UPDATE app.countries SET region = 99 WHERE code = 'd';
UPDATE app.posts SET state = 'gone' WHERE id BETWEEN 30 AND 40;
UPDATE app.posts SET state = 'open', at = '2030-01-01' WHERE id BETWEEN 60 AND 70;
INSERT INTO app.posts VALUES (900, 3, 'a new one', 'open', '2024-05-05'), (901, 77, NULL, 'draft', NULL);
DELETE FROM app.posts WHERE id = 100;
UPDATE app.posts SET id = 950 WHERE id = 101;
INSERT INTO app.votes VALUES (900, 3, 5), (60, 2, 5), (61, 2000, 1);
DELETE FROM app.votes WHERE voter = 1;
UPDATE app.labels SET text = 'changed', b = 77 WHERE a = 1 AND b = 2;
UPDATE app.labels SET b = 2 WHERE a = 1 AND b = 3;
UPDATE app.users SET login = 'other' WHERE id = 12;
TRUNCATE app.labels; INSERT INTO app.labels VALUES (3, 2, 'again');
