ALTER TABLE "Shop"."Kunde" ALTER "KundenNr" TYPE bigint;
ALTER TABLE "Shop"."Bestellung" ALTER "KundenNr" TYPE bigint, ALTER "BestellNr" TYPE bigint;
ALTER TABLE "Shop"."Position" ALTER "BestellNr" TYPE bigint;
