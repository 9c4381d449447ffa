ALTER TABLE "odd
--
-- Name: x; Type: TABLE; ""S\ $$ é'"."t ""x""
\ $$ ' /* --" ADD COLUMN "new ""n"" $$" text NOT NULL DEFAULT E'\\ ''$$';
ALTER TABLE "odd
--
-- Name: x; Type: TABLE; ""S\ $$ é'".kid RENAME COLUMN p TO "p ""q""";
CREATE TABLE "odd
--
-- Name: x; Type: TABLE; ""S\ $$ é'"."more ""m""" (id int PRIMARY KEY, v text DEFAULT '$$');
INSERT INTO "odd
--
-- Name: x; Type: TABLE; ""S\ $$ é'"."more ""m""" VALUES (1, E'a\tb\\');
