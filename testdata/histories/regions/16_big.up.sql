ALTER TABLE "Maps"."Town" ADD COLUMN big boolean GENERATED ALWAYS AS (population > 50000) STORED;
