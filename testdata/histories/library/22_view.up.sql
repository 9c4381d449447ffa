CREATE MATERIALIZED VIEW library.shelf AS SELECT b.id, b.title, a.sort_name FROM library.books b LEFT JOIN library.authors a ON a.id = b.author;
CREATE UNIQUE INDEX ON library.shelf (id);
