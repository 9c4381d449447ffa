ALTER TABLE app.posts ADD author_mail text DEFAULT 'nobody', ADD author_team text;
UPDATE app.posts p SET author_mail = u.email, title = coalesce(p.title, 'by ' || u.id) FROM app.users u WHERE u.id = p.author;
UPDATE app.posts SET author_team = t.name || ' in ' || c.name
FROM app.users u JOIN app.teams t ON t.id = u.team JOIN app.countries c ON c.code = t.country
WHERE u.id = posts.author;
