ALTER TABLE "Maps"."Road" RENAME COLUMN "from" TO tmp;
ALTER TABLE "Maps"."Road" RENAME COLUMN "to" TO "from";
ALTER TABLE "Maps"."Road" RENAME COLUMN tmp TO "to";
