DELETE FROM "Maps"."Road" WHERE "from" IS NULL AND "to" IS NULL;
