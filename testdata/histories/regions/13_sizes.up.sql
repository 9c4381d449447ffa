UPDATE "Maps"."RoadList" SET size = 0 WHERE size IS NULL OR size < 0;
ALTER TABLE "Maps"."RoadList" ADD CHECK (size >= 0), ALTER COLUMN size SET NOT NULL;
