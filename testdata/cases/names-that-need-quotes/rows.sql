INSERT INTO "My Shop"."Orders" ("select", "from", "User Name", "State", "quote""inside", "percent%s", "semi;colon", "$1", "back\slash")
	SELECT n, 'f' || n, 'Name ' || n, (ARRAY['New', 'it''s "done"', 'select']::"My Shop"."Order State"[])[1 + n % 3], 'q', '%s %d', ';', '$1', E'\\' FROM generate_series(1, 200) n;
INSERT INTO "My Shop"."order" SELECT n, 'g' || n, 't' || n, n FROM generate_series(1, 100) n;
INSERT INTO "My Shop"."user" SELECT 'u' || n, 'c' || n, n FROM generate_series(1, 100) n;
INSERT INTO "My Shop"."twin" SELECT n, 'a' || n FROM generate_series(1, 10) n;
INSERT INTO "My Shop"."Twin" SELECT n, 'b' || n FROM generate_series(1, 20) n;
INSERT INTO "My Shop"."TWIN" SELECT n, 'c' || n, 'C' || n FROM generate_series(1, 30) n;
INSERT INTO "My Shop".a_table_whose_name_is_as_long_as_names_can_be_sixty_three_bytes SELECT n, n FROM generate_series(1, 30) n;
INSERT INTO "My Shop".a_table_whose_name_is_as_long_as_names_can_be_sixty_three_bytez SELECT n, n FROM generate_series(1, 30) n;
INSERT INTO "My Shop"."größe ☃" SELECT n, n FROM generate_series(1, 30) n;
INSERT INTO "My Shop"."new" SELECT n, n, n, n, n FROM generate_series(1, 30) n;
INSERT INTO "My Shop"."a.b" SELECT n, n FROM generate_series(1, 30) n;
INSERT INTO "My Shop".new_rows SELECT n, n, n, n, n, n, n, n FROM generate_series(1, 30) n;
INSERT INTO "My Shop"."with'quote" SELECT n, n FROM generate_series(1, 30) n;
