CREATE TABLE app.credits (post_id int PRIMARY KEY, login text, region int, label text, points bigint);
INSERT INTO app.credits (post_id, login, region, points)
SELECT p.id, u.login, u.region, (SELECT sum(worth) FROM app.votes v WHERE v.post = p.id) FROM app.posts p JOIN app.users u ON u.id = p.author WHERE u.login IS NOT NULL;
UPDATE app.credits SET label = l.text FROM app.labels l WHERE l.a = region AND l.b = 2;
CREATE TABLE app.bylines (post int PRIMARY KEY, line text NOT NULL, lost boolean NOT NULL);
INSERT INTO app.bylines SELECT p.id, coalesce(p.title, '?') || ' / ' || coalesce(u.login, 'unknown'), u.id IS NULL FROM app.posts AS p LEFT JOIN app.users u ON u.id = p.author AND u.karma > 10;
UPDATE app.posts p SET title = prev.title || ' > ' || p.title FROM app.posts prev WHERE prev.id = p.id - 1;
CREATE TABLE app.places (post int PRIMARY KEY, login text NOT NULL, team text, country text);
INSERT INTO app.places SELECT p.id, u.login, t.name, c.name
FROM app.posts p JOIN app.users u ON u.id = p.author LEFT JOIN app.teams t ON t.lead = u.id AND t.id = p.id - 40 LEFT JOIN app.countries c ON c.region = t.lead + 33 AND c.code = 'd'
WHERE u.login IS NOT NULL AND c.region IS DISTINCT FROM 98;
CREATE TABLE app.ranks (post int PRIMARY KEY, lead text);
INSERT INTO app.ranks SELECT p.id, t.boss FROM app.posts p LEFT JOIN app.teams t ON t.id = p.id JOIN app.users u ON u.id = p.author WHERE t.boss IS NULL OR t.id < 12;
