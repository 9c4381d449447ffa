DROP VIEW prog.both;
DROP VIEW prog.richer;
DROP VIEW prog.rich;
ALTER TABLE prog.accounts ADD COLUMN currency text NOT NULL DEFAULT 'EUR';
ALTER TABLE prog.accounts SET (fillfactor = 80);
CREATE VIEW prog.rich AS SELECT id, owner, balance, currency FROM prog.accounts WHERE balance > 150;
CREATE VIEW prog.richer AS SELECT r.*, prog.shade_of(id % 2) AS shade FROM prog.rich r WHERE balance > 200;
COMMENT ON COLUMN prog.rich.currency IS 'currency';
