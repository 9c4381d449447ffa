ALTER TABLE stock.moves RENAME COLUMN at TO moved_at;
ALTER TABLE stock.moves RENAME TO movements;
ALTER SEQUENCE stock.moves_id_seq RENAME TO movements_id_seq;
