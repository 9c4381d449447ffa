ALTER TABLE library.books ALTER COLUMN words TYPE text[] USING string_to_array(words, ' ');
ALTER TABLE library.books ALTER COLUMN words SET DEFAULT '{}';
