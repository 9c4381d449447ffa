DROP MATERIALIZED VIEW prog.per_owner_again;
CREATE MATERIALIZED VIEW prog.per_currency AS SELECT currency, count(*) AS n FROM prog.accounts GROUP BY currency;
CREATE INDEX ON prog.per_currency (n);
