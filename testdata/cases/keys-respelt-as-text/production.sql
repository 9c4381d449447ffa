CREATE SCHEMA app; CREATE EXTENSION citext;
CREATE COLLATION app.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE app.ci (k citext PRIMARY KEY, v int);
CREATE TABLE app.nu (k numeric, part citext, v int, PRIMARY KEY (k, part));
CREATE TABLE app.co (k text COLLATE app.nocase PRIMARY KEY, v int);
CREATE TABLE app.te (k text PRIMARY KEY, v int);
CREATE TABLE app.un (k citext PRIMARY KEY, v int UNIQUE);
