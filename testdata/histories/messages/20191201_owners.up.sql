CREATE TABLE messages.owners (name text PRIMARY KEY, boxes bigint NOT NULL);
INSERT INTO messages.owners SELECT lower(owner), count(*) FROM messages.boxes GROUP BY lower(owner);
