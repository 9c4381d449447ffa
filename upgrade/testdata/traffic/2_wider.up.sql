ALTER TABLE shop.account ALTER COLUMN id TYPE bigint;
ALTER TABLE shop.entry ALTER COLUMN account TYPE bigint;
ALTER TABLE shop.parent ALTER COLUMN id TYPE bigint;
ALTER TABLE shop.child ALTER COLUMN parent TYPE bigint;
ALTER TABLE shop.part ALTER COLUMN v TYPE bigint;
ALTER TABLE shop.wide ALTER COLUMN id TYPE bigint;
