DELETE FROM app.grade WHERE id > 1;
