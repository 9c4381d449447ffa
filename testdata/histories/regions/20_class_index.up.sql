CREATE INDEX CONCURRENTLY road_class ON "Maps"."Road" (class) WHERE class = 'motorway';
