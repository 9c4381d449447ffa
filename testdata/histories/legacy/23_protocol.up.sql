ALTER TABLE "Shop"."Protokoll" ADD "Stufe" smallint NOT NULL DEFAULT 0;
UPDATE "Shop"."Protokoll" SET "Stufe" = 1 WHERE "Was" LIKE '%1%';
