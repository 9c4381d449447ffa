ALTER TABLE "Shop"."Kunde" RENAME "Straße" TO "Strasse";
ALTER TABLE "Shop"."Kunde" ALTER "PLZ" TYPE varchar(10), ADD "Land" char(2) DEFAULT 'DE';
UPDATE "Shop"."Kunde" SET "Land" = 'CH' WHERE length(trim("PLZ")) = 4;
