MERGE INTO "Shop"."Bemerkung" m USING "Shop"."Bestellung" b ON m."BestellNr" = b."BestellNr" AND b."Status" = 'storniert' WHEN MATCHED THEN UPDATE SET "Text" = m."Text" || ' (storniert)';
