UPDATE library.books SET words = '{}' WHERE words IS NULL;
ALTER TABLE library.books ALTER COLUMN words SET NOT NULL;
CREATE INDEX books_words ON library.books USING gin (words);
