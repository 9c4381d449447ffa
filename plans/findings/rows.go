package findings

var rowsSection = Section{
	Title: "Where rows come from",
	Checks: []Check{
		{
			Code: "unmapped-backfill", Level: "blocker",
			Means: "a statement changes data in a way that cannot be inferred: without a transform its effect would be lost on the shadow",
			Do:    "write the column's expression under `tables:`, a `where:`, or derive the table by `from:` and `key:`",
			Bad:   `INSERT INTO currency VALUES ('XAU') ON CONFLICT (code) DO UPDATE SET code = 'XAU';  -- production has rows of currency`,
			Good: `CREATE TABLE metal (code text PRIMARY KEY);
INSERT INTO metal VALUES ('XAU');`,
		},
		{
			Code: "decided-by-rows", Level: "blocker",
			Means: "what a statement does (a DO block, a function that SELECT or CALL runs, `setval` to a column's maximum) depends on production's rows, statistics or sequences, which scratch does not hold",
			Do:    "run it by hand before or after the upgrade, or write statements that do the same whatever the rows hold",
			Bad: `DO $$ BEGIN
  IF (SELECT count(*) FROM orders) > 1000 THEN ALTER TABLE orders ADD COLUMN big boolean; END IF;
END $$;`,
			Good: `ALTER TABLE orders ADD COLUMN big boolean;`,
		},
		{
			Code: "numbers-twice", Level: "blocker",
			Means: "a new column's default draws from a sequence that production has, and the shadow has a copy of it (another database, or the migrations change it): rows that are copied would get numbers that production's clients get meanwhile",
			Do:    "with `build: auto` the statement runs behind the fence; else let the column draw from a sequence of its own",
		},
		{
			Code: "transform-differs", Level: "blocker, or a warning on what the plan file says",
			Means: "on a sample of production's rows, what the plan makes is not what the migrations made: the column, one row's key, production's value, the plan's and the migrations' are named",
			Do:    "with `build: auto` the statement runs behind the fence; else write what the migrations make under `tables:`",
		},
		{
			Code: "sampled", Level: "info",
			Means: "how many rows the migrations ran on, and that the results agree where nothing else is said",
		},
		{
			Code: "not-proved", Level: "warning",
			Means: "of some tables, or of all, no rows could be taken or laid out: the reason is named",
			Do:    "see the reason; `scratch.rows: 0` leaves the sample away",
		},
		{
			Code: "new-constraints", Level: "info",
			Means: "which of the constraints that the migrations add all of production's rows were asked about, and which only the sample stands for",
		},
		{
			Code: "rows-inserted", Level: "blocker",
			Means: "the migrations put rows into a table that production has rows of",
			Do:    "derive the table: `from:` production's rows UNION ALL the new ones",
		},
		{
			Code: "partition-changed", Level: "blocker",
			Means: "a partition with rows is dropped, detached, or moved to another tree",
			Do:    "derive the tables, or do it beforehand",
			Bad:   `ALTER TABLE log DETACH PARTITION log_2020;`,
			Good: `-- by hand, before the plan:
ALTER TABLE log DETACH PARTITION log_2020;`,
		},
		{
			Code: "backfill-fires-trigger", Level: "warning or blocker",
			Means: "in place the statement fires a trigger of yours; in the shadow no trigger fires before the swap",
			Do:    "see the message; write the column under `tables:`",
		},
		{
			Code: "session-settings", Level: "info, warning or blocker",
			Means: "a session of production, or the migrations by SET, has other text formats than our sessions (`DateStyle`, `bytea_output`, `extra_float_digits` …). Expressions that depend on them are evaluated under them (info); the query of `from:` is not (warning), and a generated column cannot be (blocker)",
			Do:    "an expression that does not depend on them: to_char, encode, AT TIME ZONE",
		},
		{
			Code: "transform-invalid", Level: "blocker",
			Means: "the server refuses an expression: syntax, an unknown column, a type that cannot be assigned",
			Do:    "correct it",
			Bad: `# in the plan file
tables:
  shop.orders:
    columns: {cents: totl * 100}`,
			Good: `tables:
  shop.orders:
    columns: {cents: (total * 100)::bigint}`,
		},
		{
			Code: "type-altered", Level: "blocker",
			Means: "a column's values hold some of a type whose attributes or labels the migrations change (`ALTER TYPE … ADD ATTRIBUTE`, `RENAME VALUE` inside a composite, domain or range): the text of an old value is not that of the new one",
			Do:    "an expression that builds the new value",
			Bad:   `ALTER TYPE price ADD ATTRIBUTE currency text;  -- orders has a column of it`,
			Good:  `ALTER TABLE orders ADD COLUMN currency text;`,
		},
		{
			Code: "transform-reads-tables", Level: "blocker",
			Means: "an expression reads a table besides its own row, or a `from:` query one that `key:` does not name: a change there would not reach the row",
			Do:    "`from:` with `key:`",
		},
		{
			Code: "transform-volatile", Level: "blocker",
			Means: "an expression gives another value each time it is computed (random, the time, a function that is not IMMUTABLE)",
			Do:    "an expression over the row; a constant",
		},
		{
			Code: "transform-fails", Level: "blocker",
			Means: "an expression fails on a row of production that was sampled",
			Do:    "write one that takes every row, or correct the row",
		},
		{
			Code: "table-unknown", Level: "blocker",
			Means: "`tables:` names a table that does not exist",
			Do:    "correct the name",
			Bad: `# in the plan file
tables:
  shop.order: {skip: true}`,
			Good: `tables:
  shop.orders: {skip: true}`,
		},
		{
			Code: "constraint-violated", Level: "blocker",
			Means: "rows of production break a constraint that the migrations add (NOT NULL, CHECK, UNIQUE, foreign key, the partitions of a new tree), or refer to rows that a DELETE of the migrations takes away: in place the migration fails. One such row is named",
			Do:    "correct, delete or change them first",
			Bad:   `ALTER TABLE orders ALTER COLUMN customer SET NOT NULL;  -- and one row has none`,
			Good: `DELETE FROM orders WHERE customer IS NULL;
ALTER TABLE orders ALTER COLUMN customer SET NOT NULL;`,
		},
		{
			Code: "conversion-fails", Level: "blocker",
			Means: "a value that the migrations compute cannot be computed of a row that production holds: a cast, a new type's labels or checks, a generated column, a backfill, an index's expression. All rows were tried, or as many as ten seconds allow. One such row is named",
			Do:    "correct, delete or change them first, or have the migration take them",
			Bad:   `ALTER TABLE orders ALTER COLUMN code TYPE integer USING code::integer;  -- and one code is 12x`,
			Good: `ALTER TABLE orders ALTER COLUMN code TYPE integer
    USING CASE WHEN code ~ '^[0-9]{1,9}$' THEN code::integer END;`,
		},
		{
			Code: "values-tried", Level: "info",
			Means: "which of the values that the migrations compute were computed of all of production's rows, and of which only a part was, beside the sample",
		},
		{
			Code: "looked-up", Level: "info",
			Means: "rows of the table are computed from another table, too (`UPDATE … FROM`, a subquery, a join): a change there is replayed for each row that it concerns",
		},
		{
			Code: "looked-up-unindexed", Level: "warning, or blocker where there are many rows",
			Means: "likewise, and no index of production's finds the rows that a change concerns: each batch in which the other table changes reads this one whole. Or none finds the other table's rows",
			Do:    "an index on the column that the message names; with `build: auto` the migration runs behind the fence otherwise, where there are many rows",
		},
		{
			Code: "one-value-fits", Level: "info",
			Means: "no unique index says that one row of another table fits, but of all of production's rows that were asked those that fit give one value (`UPDATE … FROM`), or one comes first (`ORDER BY … LIMIT 1`). Should that become untrue before the cutover, PostgreSQL refuses the row with SQLSTATE 21000 and the run ends: nothing is chosen",
			Do:    "nothing, or `migrations.behind_fence_from` where clients may write such rows meanwhile",
		},
		{
			Code: "several-rows-fit", Level: "blocker",
			Means: "several rows of another table fit and give other values, so that which one counts is PostgreSQL's choice; or production could not be asked in ten seconds. With `build: auto` the statement runs behind the fence",
			Do:    "a unique index on the columns that are compared, or an order that holds a unique key",
			Bad:   `UPDATE bills b SET city = a.city FROM addresses a WHERE a.customer = b.customer;  -- and some have two`,
			Good: `UPDATE bills b SET city = (SELECT a.city FROM addresses a WHERE a.customer = b.customer
    ORDER BY a.created_at DESC, a.id LIMIT 1);`,
		},
		{
			Code: "derived-keyless", Level: "blocker",
			Means: "a derived table has no primary key or unique index on NOT NULL columns",
			Do:    "add one in a migration",
		},
		{
			Code: "table-dropped", Level: "info",
			Means: "the shadow does not hold a table; it stays in the old schema until `finish --drop-old`",
		},
		{
			Code: "column-dropped", Level: "info",
			Means: "the shadow does not hold a column; it stays in the old schema until `finish --drop-old`",
		},
		{
			Code: "table-skipped", Level: "info",
			Means: "left out as the plan file says: empty after the upgrade",
		},
		{
			Code: "table-emptied", Level: "warning",
			Means: "the migrations take all rows of a table away",
			Do:    "see that it is meant: the old rows stay in the old schema until `finish --drop-old`",
		},
	},
}
