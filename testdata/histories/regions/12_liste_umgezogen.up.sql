ALTER TABLE "Öffentlich"."Straßenliste" SET SCHEMA "Maps";
ALTER TABLE "Maps"."Straßenliste" RENAME TO "RoadList";
ALTER TABLE "Maps"."RoadList" RENAME COLUMN straße TO road;
ALTER TABLE "Maps"."RoadList" RENAME COLUMN "größe" TO size;
