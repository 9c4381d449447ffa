SET search_path = "odd
--
-- Name: x; Type: TABLE; ""S\ $$ é'";
INSERT INTO "t ""x""
\ $$ ' /* --" ("v$$") SELECT E'\\ $$ ''' || g FROM generate_series(1, 60) g; INSERT INTO kid SELECT g, 'k' || g FROM generate_series(1, 60) g;
INSERT INTO "no ""key""" SELECT 'same', g % 3 FROM generate_series(1, 30) g; INSERT INTO "parts $a$" SELECT g, 'p' FROM generate_series(1, 99) g;
