ALTER TABLE library.books ADD COLUMN title_sort text GENERATED ALWAYS AS (regexp_replace(lower(title), '^(the|a|an) ', '')) STORED;
CREATE INDEX IF NOT EXISTS books_title_sort ON library.books (title_sort);
