ALTER TABLE messages.boxes ADD COLUMN settings jsonb NOT NULL DEFAULT '{}';
UPDATE messages.boxes SET settings = jsonb_build_object('quota', quota, 'owner', lower(owner));
