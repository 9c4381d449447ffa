INSERT INTO clinic.insurers (code, name) VALUES ('NONE', 'pays alone') ON CONFLICT (code) DO NOTHING;
