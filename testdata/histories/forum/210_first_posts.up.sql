ALTER TABLE forum.topics ADD COLUMN first_post bigint;
UPDATE forum.topics t SET first_post = (SELECT p.id FROM forum.posts p WHERE p.topic = t.id ORDER BY p.id LIMIT 1);
