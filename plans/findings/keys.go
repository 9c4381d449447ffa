package findings

var keysSection = Section{
	Title: "Keys",
	Checks: []Check{
		{
			Code: "keyless", Level: "info",
			Means: "no usable key (unique, immediate, valid, total, plain NOT NULL columns): copied in one snapshot, changes replayed as whole rows",
			Do:    "a primary key makes it faster",
		},
		{
			Code: "deferrable-key", Level: "info",
			Means: "the only key is deferrable: changed rows are read again instead of journalled",
		},
		{
			Code: "key-not-carried", Level: "blocker",
			Means: "the upgraded table does not hold the key, or two keys could become the same key",
			Do:    "keep the column, or add a unique index",
			Bad:   `ALTER TABLE orders DROP COLUMN id;  -- the primary key`,
			Good:  `ALTER TABLE orders ADD COLUMN code uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE;`,
		},
		{
			Code: "key-index-made", Level: "info",
			Means: "the upgraded table has no index on the key's columns (it was partitioned, say): one stands while the run follows, and is dropped in the cutover",
		},
		{
			Code: "no-key-index", Level: "warning",
			Means: "likewise, and none can be made, since the key is an expression: each batch reads the table whole",
			Do:    "keep an index",
		},
		{
			Code: "inheritance-key", Level: "blocker",
			Means: "a table in an INHERITS family lacks the parent's key",
			Do:    "add it",
		},
		{
			Code: "wide-rows", Level: "info",
			Means: "a row takes more than 4 kB. Such rows are journalled by their key and read again. Looked at are up to 1,024 pages, spread over the table, of the ten tables with the most long values; the message says how many rows these were",
			Do:    "`record: key` where most rows are as wide",
		},
		{
			Code: "huge-rows", Level: "info or blocker",
			Means: "a row takes more than one value may, 1 GB. In place it is journalled by its key, and copied, replayed and compared column by column (info). To another database COPY cannot send it, and without a key its changes cannot be recorded (blocker)",
			Do:    "divide its values among several rows, or `skip: true` and take the table over by hand",
		},
		{
			Code: "not-compared", Level: "info",
			Means: "columns that verification leaves out: generated ones, and values that a default made in the shadow only",
		},
	},
}
