ALTER TABLE app.users ADD posts bigint, ADD open_posts bigint NOT NULL DEFAULT 0, ADD region int, ADD last_post timestamptz;
UPDATE app.users u SET posts = (SELECT count(*) FROM app.posts WHERE author = u.id),
	last_post = (SELECT max(at) FROM app.posts WHERE posts.author = u.id AND state <> 'gone');
WITH open AS (SELECT author, count(*) AS n FROM app.posts WHERE state = 'open' GROUP BY author)
UPDATE app.users SET open_posts = open.n FROM open WHERE open.author = users.id;
UPDATE app.users SET region = c.region FROM (SELECT t.id AS team, x.region FROM app.teams t, app.countries x WHERE x.code = t.country) c WHERE c.team = users.team;
