-- Which of relations $1 are ancestors, by INHERITS, of which others.
WITH RECURSIVE up (oid, parent) AS (
    SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits WHERE inhrelid = ANY ($1)
    UNION
    SELECT u.oid, i.inhparent FROM up u JOIN pg_catalog.pg_inherits i ON i.inhrelid = u.parent
)
SELECT oid, parent FROM up WHERE parent = ANY ($1)
