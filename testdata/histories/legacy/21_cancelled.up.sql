DELETE FROM "Shop"."Bestellung" WHERE "Status" = 'storniert' AND "BestellNr" NOT IN (SELECT "BestellNr" FROM "Shop"."Bemerkung");
