CREATE SCHEMA app;
CREATE TABLE app.crew (acct int, id bigint, PRIMARY KEY (acct, id)) PARTITION BY HASH (acct);
CREATE TABLE app.shift (acct int, crew_id bigint, n int, PRIMARY KEY (acct, crew_id, n), FOREIGN KEY (acct, crew_id) REFERENCES app.crew (acct, id)) PARTITION BY HASH (acct);
DO $$ BEGIN
	FOR i IN 0..63 LOOP
		EXECUTE format('CREATE TABLE app.crew_%s PARTITION OF app.crew FOR VALUES WITH (MODULUS 64, REMAINDER %s)', i, i);
		EXECUTE format('CREATE TABLE app.shift_%s PARTITION OF app.shift FOR VALUES WITH (MODULUS 64, REMAINDER %s)', i, i);
	END LOOP;
END $$;
