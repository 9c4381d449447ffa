ALTER TABLE forum.posts ADD COLUMN depth int NOT NULL DEFAULT 0;
UPDATE forum.posts SET depth = 1 WHERE answers IS NOT NULL;
