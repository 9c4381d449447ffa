CREATE TABLE app.cleanup (user_id bigint PRIMARY KEY, due bigint NOT NULL, tokens bigint, stage text NOT NULL DEFAULT 'new');
INSERT INTO app.cleanup (user_id, due, tokens)
(SELECT u.id, greatest(max(t.used) + 7, 50), count(t.used) FROM app.users u LEFT JOIN app.tokens t ON t.owner = u.id AND NOT t.dead WHERE u.hash LIKE 'h%' AND u.id > 5 GROUP BY u.id);
CREATE TABLE app.totals AS SELECT u.id, count(*) AS n, min(t.id) AS first FROM app.users u JOIN app.tokens t ON t.owner = u.id WHERE t.used > 200 AND u.email IS NOT NULL GROUP BY u.id;
ALTER TABLE app.totals ADD PRIMARY KEY (id);
CREATE TABLE app.active (id bigint PRIMARY KEY, email text);
INSERT INTO app.active SELECT DISTINCT u.id, u.email FROM app.users u JOIN app.tokens t ON t.owner = u.id WHERE NOT t.dead;
