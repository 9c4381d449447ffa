ALTER TABLE "My Shop".a_table_whose_name_is_as_long_as_names_can_be_sixty_three_bytes ADD COLUMN another_column_whose_name_is_as_long_as_names_can_be_63_bytes_xy text DEFAULT 'x';
CREATE INDEX an_index_whose_name_is_as_long_as_names_can_be_sixty_three_bytes ON "My Shop".a_table_whose_name_is_as_long_as_names_can_be_sixty_three_bytez (v);
ALTER TABLE "My Shop"."größe ☃" ADD COLUMN "neu ☃" text;
UPDATE "My Shop"."größe ☃" SET "neu ☃" = "wert ☃" || '☃';
ALTER TABLE "My Shop"."new" ADD COLUMN "x" int DEFAULT 1;
ALTER TABLE "My Shop"."a.b" ADD COLUMN "e.f" int DEFAULT 1;
ALTER TABLE "My Shop".new_rows ADD COLUMN k_1 int DEFAULT 1;
ALTER TABLE "My Shop"."with'quote" ADD COLUMN "and'this" text;
UPDATE "My Shop"."with'quote" SET "and'this" = "it's" || '''';
