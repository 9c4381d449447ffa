CREATE TABLE messages.archive (id bigint PRIMARY KEY, box int NOT NULL, sender text, received timestamptz NOT NULL, text text);
INSERT INTO messages.archive (id, box, sender, received, text) SELECT m.id, b.id, m.sender, m.received, concat_ws(E'\n', m.subject, m.body) FROM messages.mails m JOIN messages.boxes b ON b.id = m.box WHERE b.kind = 'trash';
