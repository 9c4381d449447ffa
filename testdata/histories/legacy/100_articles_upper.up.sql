ALTER TABLE "Shop".artikel ADD suchname text;
UPDATE "Shop".artikel SET suchname = upper("Bezeichnung") || ' ' || artikel_nr;
CREATE INDEX artikel_suchname ON "Shop".artikel (suchname);
