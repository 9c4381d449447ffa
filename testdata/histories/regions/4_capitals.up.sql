UPDATE "Maps"."Town" SET kind = 'capital' WHERE population > 80000;
