SET search_path = "odd
--
-- Name: x; Type: TABLE; ""S\ $$ é'";
UPDATE "t ""x""
\ $$ ' /* --" SET "v$$" = "v$$" || E'\n"' WHERE "c ""y""
\ $$ ' */ ;" % 3 = 0; DELETE FROM kid WHERE p > 50; INSERT INTO "t ""x""
\ $$ ' /* --" DEFAULT VALUES; UPDATE kid SET p = 60 WHERE p = 50;
DELETE FROM "no ""key""" WHERE "c ""y""
\ $$ ' */ ;" = 1; UPDATE "parts $a$" SET "c ""y""
\ $$ ' */ ;" = "c ""y""
\ $$ ' */ ;" + 100 WHERE "c ""y""
\ $$ ' */ ;" < 10; TRUNCATE "part--2";
