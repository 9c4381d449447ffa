INSERT INTO app.ci VALUES ('Bob', 1), ('Ann', 2), ('Eve', 3), ('Kim', 4);
INSERT INTO app.nu VALUES (1.0, 'One', 1), (2, 'Two', 2), (3.50, 'Three', 3);
INSERT INTO app.co VALUES ('Bob', 1), ('Ann', 2), ('Eve', 3);
INSERT INTO app.te VALUES ('Bob', 1), ('Ann', 2), ('Eve', 3);
INSERT INTO app.un VALUES ('Bob', 1), ('Ann', 2), ('Eve', 3);
