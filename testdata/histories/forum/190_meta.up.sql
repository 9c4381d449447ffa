UPDATE forum.posts SET meta = meta - 'lang' WHERE meta ? 'lang';
UPDATE forum.posts SET meta = '{}' WHERE meta IS NULL;
ALTER TABLE forum.posts ALTER COLUMN meta SET NOT NULL;
