ALTER TABLE forum.posts ADD COLUMN language text;
UPDATE forum.posts SET language = coalesce(meta ->> 'lang', 'en');
ALTER TABLE forum.posts ALTER COLUMN language SET DEFAULT 'en';
