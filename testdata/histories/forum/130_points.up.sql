ALTER TABLE forum.posts ADD COLUMN points int NOT NULL DEFAULT 0;
UPDATE forum.posts p SET points = (SELECT count(*) FILTER (WHERE up) - count(*) FILTER (WHERE NOT up) FROM forum.votes v WHERE v.post = p.id);
