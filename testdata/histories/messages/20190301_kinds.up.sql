ALTER TABLE messages.boxes ALTER COLUMN kind TYPE text USING CASE kind WHEN 0 THEN 'inbox' WHEN 1 THEN 'sent' WHEN 2 THEN 'trash' ELSE 'other' END;
