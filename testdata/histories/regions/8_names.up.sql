ALTER TABLE "Maps"."Road" ADD COLUMN "name" text;
UPDATE "Maps"."Road" r SET name = a.name || ' – ' || b.name FROM "Maps"."Town" a, "Maps"."Town" b WHERE a.id = r."from" AND b.id = r."to";
