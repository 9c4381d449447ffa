ALTER TYPE "Maps"."Kind" RENAME VALUE 'Town' TO 'town';
