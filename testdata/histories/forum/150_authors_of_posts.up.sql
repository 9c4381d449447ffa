ALTER TABLE forum.posts ADD COLUMN author_name text NOT NULL DEFAULT 'nobody';
UPDATE forum.posts SET author_name = u.name FROM forum.users u WHERE u.id = posts.author AND NOT u.deleted;
