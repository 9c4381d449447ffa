CREATE EXTENSION pg_trgm;
CREATE INDEX names_trigrams ON names USING gin (name gin_trgm_ops);
