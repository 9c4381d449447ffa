CREATE TABLE "Shop"."Kunde_neu" ("KundenNr" bigint PRIMARY KEY, "Name" varchar(2000) NOT NULL, "Anschrift" text, "Land" char(2) NOT NULL, "Sperre" boolean NOT NULL DEFAULT false, "AngelegtAm" timestamptz);
INSERT INTO "Shop"."Kunde_neu" SELECT "KundenNr", "Name", concat_ws(', ', "Strasse", "PLZ"), coalesce("Land", 'DE'), "Sperre", "AngelegtAm" AT TIME ZONE 'Europe/Berlin' FROM "Shop"."Kunde";
DROP VIEW "Shop"."Offene Bestellungen";
ALTER TABLE "Shop"."Bestellung" DROP CONSTRAINT "Bestellung_KundenNr_fkey";
DROP TABLE "Shop"."Kunde";
ALTER TABLE "Shop"."Kunde_neu" RENAME TO "Kunde";
ALTER TABLE "Shop"."Bestellung" ADD FOREIGN KEY ("KundenNr") REFERENCES "Shop"."Kunde";
