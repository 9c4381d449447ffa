CREATE SCHEMA "odd
--
-- Name: x; Type: TABLE; ""S\ $$ é'" AUTHORIZATION "case odd ""r""
\ $$ '"; COMMENT ON SCHEMA "odd
--
-- Name: x; Type: TABLE; ""S\ $$ é'" IS 'it''s \ "odd"'; GRANT USAGE ON SCHEMA "odd
--
-- Name: x; Type: TABLE; ""S\ $$ é'" TO PUBLIC;
SET search_path = "odd
--
-- Name: x; Type: TABLE; ""S\ $$ é'";
CREATE TYPE "c ""y""
\ $$ ' */ ;" AS ENUM ('a "b"', 'c''d\e'); CREATE SEQUENCE "s ' q" START 7;
CREATE TABLE "t ""x""
\ $$ ' /* --" ("c ""y""
\ $$ ' */ ;" serial PRIMARY KEY, e "c ""y""
\ $$ ' */ ;" DEFAULT 'c''d\e', "v$$" text DEFAULT E'it''s \\ $$ "x"\n' CONSTRAINT "c ""y""
\ $$ ' */ ;" CHECK ("v$$" <> ''));
ALTER TABLE "t ""x""
\ $$ ' /* --" OWNER TO "case odd ""r""
\ $$ '"; GRANT SELECT ON "t ""x""
\ $$ ' /* --" TO "case odd ""r""
\ $$ '"; COMMENT ON TABLE "t ""x""
\ $$ ' /* --" IS E'COMMENT ON CONSTRAINT x ON y.z IS ''a'';\n--'; COMMENT ON COLUMN "t ""x""
\ $$ ' /* --"."c ""y""
\ $$ ' */ ;" IS '$$';
CREATE TABLE "kid" ("p" int REFERENCES "t ""x""
\ $$ ' /* --", "t ""x""
\ $$ ' /* --" text, PRIMARY KEY ("p", "t ""x""
\ $$ ' /* --"));
CREATE TABLE "no ""key""" ("t ""x""
\ $$ ' /* --" text, "c ""y""
\ $$ ' */ ;" int);
CREATE TABLE "parts $a$" ("c ""y""
\ $$ ' */ ;" int PRIMARY KEY, "t ""x""
\ $$ ' /* --" text) PARTITION BY RANGE ("c ""y""
\ $$ ' */ ;"); CREATE TABLE "part;1" PARTITION OF "parts $a$" FOR VALUES FROM (0) TO (50); CREATE TABLE "part--2" PARTITION OF "parts $a$" DEFAULT;
CREATE INDEX "i ""x""
\ $$ ' /* --" ON kid ("t ""x""
\ $$ ' /* --"); CREATE VIEW "view ""v""" AS SELECT "c ""y""
\ $$ ' */ ;", "v$$" FROM "t ""x""
\ $$ ' /* --";
CREATE FUNCTION "f ""f"" $$"("c ""y""
\ $$ ' */ ;" text) RETURNS text LANGUAGE sql IMMUTABLE AS $f$ SELECT $1 || '$$; --' $f$;
RESET search_path;
