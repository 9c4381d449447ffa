ALTER TABLE "Maps"."Country" ADD COLUMN people bigint;
UPDATE "Maps"."Country" c SET people = (SELECT sum(population) FROM "Maps"."Town" t WHERE t."Country" = c.code AND t.population > 0);
