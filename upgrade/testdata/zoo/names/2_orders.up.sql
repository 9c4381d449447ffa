ALTER TABLE "My Shop"."Orders" ALTER COLUMN "select" TYPE bigint;
ALTER TABLE "My Shop"."Orders" RENAME COLUMN "User Name" TO "Full Name";
ALTER TABLE "My Shop"."Orders" ADD COLUMN "where" text;
UPDATE "My Shop"."Orders" SET "where" = upper("from") || ' ' || "Full Name";
ALTER TABLE "My Shop"."order" RENAME TO "Group";
