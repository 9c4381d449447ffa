CREATE VIEW "Shop"."Offene Bestellungen" AS SELECT b."BestellNr", k."Name" FROM "Shop"."Bestellung" b JOIN "Shop"."Kunde" k USING ("KundenNr") WHERE b."Status" = 'offen';
