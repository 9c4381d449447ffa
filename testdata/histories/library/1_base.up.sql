CREATE SCHEMA library;
CREATE TABLE library.authors (id serial PRIMARY KEY, name text NOT NULL, born int);
CREATE TABLE library.books (id serial PRIMARY KEY, isbn varchar(13) NOT NULL UNIQUE, title text NOT NULL, author int REFERENCES library.authors, pages int, price numeric(8,2), words text);
CREATE TABLE library.readers (id serial PRIMARY KEY, card int NOT NULL UNIQUE, name text NOT NULL, mail text NOT NULL, street text, city text, zip text);
CREATE TABLE library.loans (book int NOT NULL REFERENCES library.books, reader int NOT NULL REFERENCES library.readers ON DELETE CASCADE, taken date NOT NULL, back date, PRIMARY KEY (book, reader, taken));
CREATE TABLE library.fines (id serial PRIMARY KEY, reader int REFERENCES library.readers ON DELETE SET NULL, amount numeric(6,2) NOT NULL, why text);
CREATE INDEX books_author ON library.books (author);
CREATE INDEX loans_reader ON library.loans (reader);
CREATE INDEX fines_reader ON library.fines (reader);
