ALTER TABLE "My Shop"."Orders" ALTER COLUMN "$1" TYPE varchar;
ALTER TABLE "My Shop"."order" ALTER COLUMN "order" TYPE bigint;
ALTER TABLE "My Shop"."Orders" RENAME COLUMN "User Name" TO "Full Name";
ALTER TABLE "My Shop"."Orders" ADD COLUMN "where" text;
UPDATE "My Shop"."Orders" SET "where" = upper("from") || ' ' || "Full Name";
ALTER TABLE "My Shop"."order" RENAME TO "Group";
