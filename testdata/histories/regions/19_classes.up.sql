UPDATE "Maps"."Road" SET class = CASE class WHEN 'A' THEN 'motorway' WHEN 'B' THEN 'road' ELSE 'way' END;
ALTER TABLE "Maps"."Road" ALTER COLUMN class SET NOT NULL;
