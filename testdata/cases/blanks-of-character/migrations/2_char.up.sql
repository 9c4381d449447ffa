ALTER TABLE app.codes ALTER code TYPE char(8), ADD size int, ADD shown text, ADD short char(3) DEFAULT 'a', ADD plain text;
UPDATE app.codes SET size = octet_length(code) + octet_length(land), shown = format('<%s>', code), plain = code;
UPDATE app.codes SET land = upper(land);
UPDATE app.codes SET note = 'like' WHERE code LIKE 'a_______' OR short LIKE 'a  ';
UPDATE app.codes SET shown = shown || format('<%s>', land) || code WHERE code = 'a';
