ALTER TABLE "Shop"."Kunde" ALTER "Sperre" DROP DEFAULT, ALTER "Sperre" TYPE boolean USING "Sperre" <> 0, ALTER "Sperre" SET DEFAULT false;
