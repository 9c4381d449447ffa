ALTER TABLE app.devices ADD COLUMN addr bytea NOT NULL DEFAULT '\x00';
UPDATE app.devices d SET addr = a.addr FROM (SELECT DISTINCT ON (eui) * FROM app.activations ORDER BY eui, at DESC) a WHERE d.eui = a.eui;
