ALTER SEQUENCE "Shop"."Bestellung_BestellNr_seq" INCREMENT BY 10;
