CREATE TABLE forum.ranks (rank int PRIMARY KEY, title text NOT NULL, since int NOT NULL);
INSERT INTO forum.ranks VALUES (1, 'new', 0), (2, 'known', 100), (3, 'old', 500);
ALTER TABLE forum.users ADD COLUMN rank int;
ALTER TABLE forum.users DISABLE TRIGGER touch;
UPDATE forum.users SET rank = CASE WHEN karma >= 500 THEN 3 WHEN karma >= 100 THEN 2 ELSE 1 END;
ALTER TABLE forum.users ENABLE TRIGGER touch;
ALTER TABLE forum.users ALTER COLUMN rank SET NOT NULL, ADD FOREIGN KEY (rank) REFERENCES forum.ranks;
