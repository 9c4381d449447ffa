CREATE TABLE "Shop"."Bemerkung" ("BestellNr" bigint PRIMARY KEY, "Text" text NOT NULL, "Kunde" text NOT NULL);
INSERT INTO "Shop"."Bemerkung" SELECT b."BestellNr", b."Bemerkung", k."Name" FROM "Shop"."Bestellung" b JOIN "Shop"."Kunde" k ON k."KundenNr" = b."KundenNr" WHERE b."Bemerkung" <> '';
ALTER TABLE "Shop"."Bestellung" DROP COLUMN "Bemerkung";
