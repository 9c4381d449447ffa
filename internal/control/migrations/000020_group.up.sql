-- Of a run that is one of several in several databases which are swapped at one moment
-- or not at all: "id" of the group, this database's name in it, "member", and those of
-- all, "members", of which the first one's COMMIT decides for all. NULL: in no group.
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS in_group json;
-- Why the run stands still with its group, as the leader says; empty: it does not.
ALTER TABLE pgumbra.leader ADD COLUMN IF NOT EXISTS suspended text NOT NULL DEFAULT '';
