ALTER TABLE forum.posts ADD COLUMN chars int GENERATED ALWAYS AS (length(body)) STORED;
