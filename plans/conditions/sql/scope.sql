-- What every condition is asked about. $1: the schemas that move; $2: quoted
-- names of types and sequences that are shared with the shadow: who uses them by
-- oid follows them; $3: event triggers that the plan has told of; $4, $5: pid and
-- start of our own sessions; $6: schemas that unqualified names lead to, too; $7:
-- roles that have a superuser's trust; $8: the name of the version table; $9:
-- names that no schema may have; $10, $11: what the database had of its own when
-- the plan was made, and what it said; NULL: nobody knows.
asked (schemas, shared, told, pids, started, near, trusted, version, free, labels, hashes) AS (
    SELECT $1::text[], $2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::text[], $7::text[], $8::text, $9::text[], $10::text[], $11::text[]),
schema AS MATERIALIZED (SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n, asked WHERE n.nspname = ANY (asked.schemas)),
relation AS MATERIALIZED (SELECT c.oid, c.relkind, c.reltype FROM pg_catalog.pg_class c WHERE c.relnamespace IN (SELECT oid FROM schema))
