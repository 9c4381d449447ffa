DO $$
BEGIN
	IF current_setting('server_encoding') = 'UTF8' THEN
		UPDATE app.notes SET body = normalize(body, NFC) || '.';
		UPDATE app.names SET language = upper(language) WHERE name <> 'tag3';
	ELSE
		RAISE NOTICE 'left as it is in %', current_setting('server_encoding');
	END IF;
END $$;
