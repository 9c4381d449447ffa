ALTER TABLE rules.customers DROP CONSTRAINT named, ADD CONSTRAINT named CHECK (length(name) BETWEEN 1 AND 100);
ALTER TABLE rules.orders ADD CONSTRAINT state_known CHECK (state IN ('new', 'open', 'done'));
ALTER TABLE rules.lines RENAME CONSTRAINT qty_sane TO qty_positive;
ALTER TABLE rules.rooms ADD CONSTRAINT one_room UNIQUE (room, id) INCLUDE (during);
ALTER TABLE rules.parts ADD CONSTRAINT parts_abc UNIQUE (a, b, c) DEFERRABLE;
