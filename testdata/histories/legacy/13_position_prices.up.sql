ALTER TABLE "Shop"."Position" ADD "Preis" numeric(12,2);
UPDATE "Shop"."Position" AS p SET "Preis" = round(a."Preis"::numeric, 2) FROM "Shop".artikel a WHERE a.artikel_nr = p."ArtikelNr";
