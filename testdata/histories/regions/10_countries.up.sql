UPDATE "Maps"."Country" SET "order" = 0 WHERE "order" IS NULL;
ALTER TABLE "Maps"."Country" ALTER COLUMN "order" SET NOT NULL, ALTER COLUMN "order" SET DEFAULT 0;
ALTER TABLE "Maps"."Country" RENAME COLUMN "order" TO rank;
