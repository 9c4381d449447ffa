ALTER TABLE app.ci ALTER k TYPE text;
ALTER TABLE app.nu ALTER k TYPE text, ALTER part TYPE text;
ALTER TABLE app.co ALTER k TYPE text COLLATE "C";
ALTER TABLE app.te ALTER k TYPE citext;
ALTER TABLE app.un ALTER k TYPE text;
