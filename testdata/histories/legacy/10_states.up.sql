CREATE DOMAIN "Shop"."Zustand" AS text CHECK (VALUE IN ('offen', 'bezahlt', 'storniert'));
ALTER TABLE "Shop"."Bestellung" DROP CONSTRAINT "Bestellung_Status_check";
ALTER TABLE "Shop"."Bestellung" ALTER "Status" TYPE "Shop"."Zustand" USING CASE "Status" WHEN 'O' THEN 'offen' WHEN 'B' THEN 'bezahlt' ELSE 'storniert' END;
