-- Numbers that the seed passes over, one that it leaves behind, and one that was drawn and never used.
INSERT INTO app.roles (name) VALUES ('third');
INSERT INTO app.roles (id, name) VALUES (20, 'far');
BEGIN; INSERT INTO app.roles (name) VALUES ('never'); ROLLBACK;
