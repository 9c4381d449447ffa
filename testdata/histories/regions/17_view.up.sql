CREATE VIEW "Öffentlich"."Strassen" AS SELECT r.id, r.name, r.km, t."Country" AS land FROM "Maps"."Road" r LEFT JOIN "Maps"."Town" t ON t.id = r."from";
