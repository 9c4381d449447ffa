ALTER TABLE app.rate ALTER k TYPE numeric(12, 4); ALTER TABLE app.cell ALTER x TYPE numeric(12, 2), ALTER y TYPE bigint;
