package findings

var migrationsSection = Section{
	Title: "Versions and migrations",
	Checks: []Check{
		{
			Code: "version-dirty", Level: "blocker",
			Means: "golang-migrate's last migration failed in production",
			Do:    "repair it, `migrate force VERSION`",
		},
		{
			Code: "version-unknown", Level: "blocker",
			Means: "production's version, or `migrations.version`, is not in the folder",
			Do:    "name the right folder or version",
		},
		{
			Code: "version-absent", Level: "blocker",
			Means: "there is no version table, and the schemas are not empty",
			Do:    "write `migrations.from`, or `migrations.table`",
			Bad: `# in the plan file, of a database without schema_migrations
migrations: {path: ./migrations}`,
			Good: `migrations: {path: ./migrations, from: 41}`,
		},
		{
			Code: "version-newer", Level: "blocker",
			Means: "production is beyond `migrations.version`",
			Do:    "an upgrade only goes up",
		},
		{
			Code: "migration-failed", Level: "blocker",
			Means: "a migration fails in scratch: file, line, statement and SQLSTATE are named. On a sample it fails on rows that production holds: a NOT NULL without a value, a CHECK, UNIQUE or foreign key that they break, a cast, a partition that is not there ([proved on rows](migrations.md#proved-on-rows)). Behind the fence it stands against the cutover",
			Do:    "correct it, or the rows",
		},
		{
			Code: "unparsed-migration", Level: "warning",
			Means: "the parser cannot read a file; it runs in scratch, and what it does to rows is not known",
			Do:    "see that it changes structure only",
		},
		{
			Code: "cluster-statement", Level: "warning",
			Means: "a statement acts on the whole server (roles, tablespaces, settings, databases); it is not run, neither in scratch nor by a run",
			Do:    "run it by hand",
		},
		{
			Code: "concurrently-with-others", Level: "warning",
			Means: "CONCURRENTLY beside other statements in one file, which golang-migrate could not run either; the word is left out in scratch",
			Do:    "nothing",
			Bad: `ALTER TABLE orders ADD COLUMN code text;
CREATE INDEX CONCURRENTLY ON orders (note);`,
			Good: `CREATE INDEX CONCURRENTLY ON orders (note);  -- in a file of its own`,
		},
		{
			Code: "migration-file-unseen", Level: "warning",
			Means: "an `.sql` file that golang-migrate does not see",
			Do:    "rename it if it is a migration",
			Bad:   `-- db/migrations/42_cents.sql`,
			Good:  `-- db/migrations/000042_cents.up.sql`,
		},
		{
			Code: "migration-without-up", Level: "warning",
			Means: "a number has a down file only",
			Do:    "add the up file if it is missing",
		},
		{
			Code: "extension-new", Level: "warning",
			Means: "the migrations install an extension; it is installed in production when the shadow is built",
			Do:    "see that the role may",
		},
		{
			Code: "extension-dropped", Level: "warning",
			Means: "the migrations drop an extension; it stays",
			Do:    "drop it after `finish`",
		},
		{
			Code: "extension-moved", Level: "blocker",
			Means: "the migrations move an extension to another schema",
			Do:    "do it beforehand",
		},
		{
			Code: "schema-dropped", Level: "blocker",
			Means: "the migrations drop or rename a schema that moves",
			Do:    "leave it out",
		},
		{
			Code: "outside-change", Level: "blocker",
			Means: "the migrations make, change or drop something in a schema that does not move: it would be lost",
			Do:    "add the schema to `production.schemas`",
			Bad:   `CREATE VIEW public.open_orders AS SELECT * FROM shop.orders;  -- public does not move`,
			Good:  `CREATE VIEW shop.open_orders AS SELECT * FROM shop.orders;`,
		},
	},
}
