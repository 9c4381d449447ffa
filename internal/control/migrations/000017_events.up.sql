-- What kind of event it is, by which it is found again; the message is for people.
ALTER TABLE pgumbra.event ADD COLUMN IF NOT EXISTS kind text;
UPDATE pgumbra.event SET kind = CASE message
    WHEN 'phase' THEN 'phase'
    WHEN 'cutover not possible now' THEN 'refused'
    WHEN 'structure changed' THEN 'structure-changed'
    WHEN 'structure is as planned again' THEN 'structure-as-planned'
    WHEN 'recopy' THEN 'recopy'
    ELSE 'other' END
WHERE kind IS NULL;
