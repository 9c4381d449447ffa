ALTER TABLE "Shop"."Bestellung" ADD "Summe" numeric(14,2) NOT NULL DEFAULT 0;
UPDATE "Shop"."Bestellung" b SET "Summe" = s."Summe" FROM (SELECT "BestellNr", sum("Preis") AS "Summe" FROM "Shop"."Position" GROUP BY 1) s WHERE s."BestellNr" = b."BestellNr" AND s."Summe" IS NOT NULL;
