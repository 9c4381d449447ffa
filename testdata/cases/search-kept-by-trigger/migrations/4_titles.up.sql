UPDATE app.pages SET title = upper(title) WHERE id % 3 = 0;
