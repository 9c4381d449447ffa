WITH RECURSIVE t (id, depth) AS (
    SELECT id, 0 FROM forum.posts WHERE answers IS NULL
    UNION
    SELECT p.id, t.depth + 1 FROM forum.posts p JOIN t ON p.answers = t.id
)
UPDATE forum.posts p SET depth = t.depth FROM t WHERE t.id = p.id;
