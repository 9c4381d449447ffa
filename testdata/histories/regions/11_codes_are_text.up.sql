ALTER TABLE "Maps"."Town" DROP CONSTRAINT "Town_Country_fkey";
ALTER TABLE "Maps"."Country" ALTER COLUMN code TYPE text USING rtrim(code);
ALTER TABLE "Maps"."Town" ALTER COLUMN "Country" TYPE text USING rtrim("Country");
ALTER TABLE "Maps"."Town" ADD CONSTRAINT "Town_Country_fkey" FOREIGN KEY ("Country") REFERENCES "Maps"."Country";
