SET search_path = "Maps";
ALTER TABLE "Town" ADD COLUMN roads bigint;
UPDATE "Town" SET roads = (SELECT count(*) FROM "Road" r WHERE r."from" = "Town".id OR r."from" = "Town".id AND r."to" IS NULL);
RESET search_path;
