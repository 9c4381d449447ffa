DROP INDEX rules.lines_fill;
CREATE INDEX lines_qty ON rules.lines (qty) WHERE qty > 10;
ALTER INDEX rules.orders_placed RENAME TO orders_by_day;
CREATE UNIQUE INDEX orders_once ON rules.orders ((id::text));
CREATE STATISTICS rules.order_facts (dependencies) ON customer, state FROM rules.orders;
DROP STATISTICS rules.expression_facts;
ALTER TABLE rules.slots CLUSTER ON slots_pkey;
