ALTER TABLE "Shop"."Bemerkung" ALTER "Kunde" DROP NOT NULL;
