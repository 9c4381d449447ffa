ALTER TABLE "Maps"."Road" CLUSTER ON "Road_pkey";
COMMENT ON TABLE "Maps"."Road" IS 'it''s a road; with a semicolon';
