CREATE TABLE messages.kinds (name text PRIMARY KEY, sort int NOT NULL);
INSERT INTO messages.kinds VALUES ('inbox', 1), ('sent', 2), ('trash', 3), ('other', 9);
ALTER TABLE messages.boxes ALTER COLUMN kind SET NOT NULL, ADD FOREIGN KEY (kind) REFERENCES messages.kinds;
