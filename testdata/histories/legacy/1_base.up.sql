CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."Kunde" ("KundenNr" serial PRIMARY KEY, "Name" text NOT NULL, "Straße" text, "PLZ" char(5), "AngelegtAm" timestamp without time zone, "Sperre" smallint NOT NULL DEFAULT 0);
CREATE TABLE "Shop"."Artikel" ("ArtikelNr" varchar(20) PRIMARY KEY, "Bezeichnung" text NOT NULL, "Preis" double precision NOT NULL, "order" int NOT NULL DEFAULT 0);
CREATE TABLE "Shop"."Bestellung" ("BestellNr" serial PRIMARY KEY, "KundenNr" int NOT NULL REFERENCES "Shop"."Kunde", "Datum" date NOT NULL, "Status" char(1) NOT NULL CHECK ("Status" IN ('O', 'B', 'S')), "Bemerkung" text);
CREATE TABLE "Shop"."Position" ("BestellNr" int NOT NULL REFERENCES "Shop"."Bestellung" ON DELETE CASCADE, "Pos" int NOT NULL, "ArtikelNr" varchar(20) NOT NULL REFERENCES "Shop"."Artikel" ON UPDATE CASCADE, "Menge" int NOT NULL, PRIMARY KEY ("BestellNr", "Pos"));
CREATE TABLE "Shop"."Protokoll" ("Wann" timestamp, "Was" text);
CREATE INDEX "IX_Bestellung_Kunde" ON "Shop"."Bestellung" ("KundenNr");
CREATE INDEX "IX_Position_Artikel" ON "Shop"."Position" ("ArtikelNr");
