package findings

var backSection = Section{
	Title: "Going back",
	Intro: "What a rollback after the cutover would lose, said before it: see [what a rollback loses](plan-file.md#what-a-rollback-loses). With `watch.enabled: false` nothing of this is said. `behind-fence-one-way` is about the same.",
	Checks: []Check{
		{
			Code: "not-reversible", Level: "warning, or blocker with `watch.require_reverse`",
			Means: "the upgraded row does not hold a column's value, and what is made of it has no inverse. Rows of before the cutover keep the value that they had, newer ones get the old column's default; where that column must have a value and has no default, newer rows cannot be taken back at all. On a whole table: its rows are made by a query, or went to several tables, or lost their key. On a column of a key: it comes back, but for some of production's rows as another value (a text 01 that became the number 1), so that these would not be found again, and no row of the table goes back",
			Do:    "`reverse:` under `tables:`",
			Bad:   `ALTER TABLE orders DROP COLUMN note;`,
			Good: `# in the plan file
tables:
  shop.orders:
    reverse: {note: "''"}`,
		},
		{
			Code: "reverse-lossy", Level: "warning, or blocker with `watch.require_reverse`; or info",
			Means: "a column comes back, but not from each value: the old type is narrower (bigint to integer, text to varchar(n), an enum without the new label) or coarser (numeric to integer rounds). Info: the upgraded table has no value that the old one could not take, and each of production's rows of today comes back as it is; one that is written before the cutover and that the new type rounds, cuts or spells otherwise would not. Or rows were sent there and back, those of the sample and, of columns that may lose, all of production's as far as five seconds go: how many came back otherwise is told, and the key of one; or a query of `reverse: from:` gives something else of what the migrations made of the sample than production holds. Of a table: rows that the old one cannot hold as they are, are not noted while the watch lasts (its rule names a type or function of the schemas, which another server may not have); `rollback` reads the table for them, and refuses",
			Do:    "nothing, if no such value will be written: a row that has one is named by `status`, and `rollback` waits for it; else `reverse:` with an expression that takes it. `reverse: {column: column}` accepts it",
		},
		{
			Code: "reverse-constraint", Level: "warning, or info",
			Means: "the upgraded table lacks a constraint that the old one has: rows that break it cannot be taken back. Info: the old table is partitioned and has no DEFAULT partition, so new partitions have to be made on both sides as long as the watch lasts",
			Do:    "nothing, if no such rows will be written",
		},
		{
			Code: "reverse-new-table", Level: "warning",
			Means: "production has no such table, or does not feed it: what is written to it after the cutover has nowhere to go back to, and stays in the upgraded table",
			Do:    "nothing, if the application of before the upgrade needs none of it",
		},
		{
			Code: "reverse-written-behind", Level: "warning, or blocker with `watch.require_reverse`",
			Means: "a statement that runs behind the fence may write rows of a table in columns that go back. Old rows keep what they had of these until a client changes the new ones. The proof of the old side finds such rows after the cutover, if there are any; `rollback` names the table then, and asks for `--accept-loss`",
			Do:    "nothing, if old rows may keep the values of before; otherwise touch the rows after the cutover, which takes them back. `reverse:` under `tables` silences the finding, and changes nothing else",
		},
	},
}
