ALTER TABLE "Maps"."Road" ADD COLUMN "km" numeric(8,3);
UPDATE "Maps"."Road" SET km = meters / 1000.0 WHERE meters IS NOT NULL;
ALTER TABLE "Maps"."Road" DROP COLUMN meters;
