ALTER TYPE "Maps"."Kind" ADD VALUE IF NOT EXISTS 'capital';
