ALTER TABLE forum.topics ADD COLUMN posts bigint NOT NULL DEFAULT 0;
WITH n AS (SELECT topic, count(*) AS posts FROM forum.posts GROUP BY topic)
UPDATE forum.topics t SET posts = n.posts FROM n WHERE n.topic = t.id;
