ALTER TABLE app.reads ALTER at TYPE timestamptz(0), ALTER day TYPE date, ALTER v TYPE numeric(12,1);
