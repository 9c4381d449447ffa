ALTER TABLE forum.votes ADD COLUMN weight int;
UPDATE forum.votes v SET weight = CASE WHEN v.up THEN 1 ELSE -1 END * (SELECT m.rank FROM forum.members m WHERE m.id = v.voter);
ALTER TABLE forum.votes ALTER COLUMN weight SET NOT NULL, DROP COLUMN up;
