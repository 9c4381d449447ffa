package findings

var serverSection = Section{
	Title: "The server and the role",
	Checks: []Check{
		{
			Code: "server-version", Level: "blocker",
			Means: "the server is none of PostgreSQL 14 to 18",
			Do:    "upgrade the server first",
		},
		{
			Code: "pg-dump-missing", Level: "blocker",
			Means: "no `pg_dump` on `PATH` nor in `/usr/lib/postgresql/*/bin`",
			Do:    "install the client programs of the server's version or newer",
		},
		{
			Code: "pg-dump-too-old", Level: "blocker",
			Means: "every `pg_dump` found is older than the server, and would refuse it",
			Do:    "likewise",
		},
		{
			Code: "privileges", Level: "blocker",
			Means: "a right is missing; the fix is the statement to type. A superuser has all of them",
			Do:    "type it, plan again",
		},
		{
			Code: "way-back-privilege", Level: "warning",
			Means: "the role may not set `session_replication_role`, and old tables have triggers or foreign keys, which would act on rows that come back: after the cutover the old side is not kept current, and there is no rollback",
			Do:    "type the GRANT before the cutover; before PostgreSQL 15, run pgumbra as a superuser, or set `watch.enabled: false`",
		},
		{
			Code: "schema-absent", Level: "blocker",
			Means: "a schema of `production.schemas` does not exist",
			Do:    "correct the plan file",
		},
		{
			Code: "no-search-path", Level: "blocker",
			Means: "no schema of the session's search_path exists, so golang-migrate could not make its table",
			Do:    "set search_path for the role, the database, or in `production.dsn`",
		},
		{
			Code: "catalog-overridden", Level: "blocker",
			Means: "production's search_path names a schema before `pg_catalog`, and a function, operator or type there takes the place of one of PostgreSQL's own. pgumbra's sessions go by PostgreSQL's: whoever may create in that schema would have his code run with their rights",
			Do:    "drop or rename it, or leave `pg_catalog` out of the search_path, where it comes first",
		},
		{
			Code: "foreign-code", Level: "blocker",
			Means: "production.dsn's role is a superuser, and copying or comparing rows would call a function of somebody who is none and owns neither a schema that moves nor the database: in a CHECK, a domain, a generated column, a default, an index, statistics, a partition key or a cast; by a trigger or rule that fires for replay, or on the version table; or because it has the name of another function or operator, and a call takes the one whose arguments fit best. Nothing is restored in scratch then: PostgreSQL computes constant expressions when it reads them. In mid-run nothing is copied, replayed, compared or swapped while there is such a function",
			Do:    "read it, then give it to the schema's owner; or connect as a role without SUPERUSER ([privileges](privileges.md)); or trust its owner with a superuser's rights: `production.trust`",
		},
		{
			Code: "name-taken", Level: "blocker",
			Means: "the scratch database, or a schema for the shadow or the old side, has a name that is in use and is not ours; for the old side also in mid-run",
			Do:    "drop what an earlier run kept, or rename the run",
		},
		{
			Code: "old-side-kept", Level: "info",
			Means: "a finished run of this name kept its old side, which has the name that this run's would get: this one's has a number, as `pgumbra_shop_old2_shop`",
			Do:    "nothing, or drop the schema once nobody needs it; `finish --drop-old` drops that of the newest run",
		},
		{
			Code: "another-run", Level: "blocker",
			Means: "a run of another name is under way on one of the schemas",
			Do:    "finish or abort it",
		},
		{
			Code: "no-migrations", Level: "blocker",
			Means: "the plan file asks for what this version cannot do",
			Do:    "see the message",
		},
		{
			Code: "behind-fence", Level: "warning",
			Means: "some migrations are not understood, or the plan file says so: from one on they run for real behind the fence, in the transaction of the swap. Writers wait meanwhile, readers do not (behind a pool that leads to another server they do, too); a trial on the followed shadow measures how long before the cutover",
			Do:    "nothing, if writers can wait that long; else describe the rows in the plan file under `tables`, or `build: direct` to see what is not understood",
		},
		{
			Code: "at-swap", Level: "info",
			Means: "an INSERT beside production's rows, or an UPDATE, a DELETE or a DO block that is not understood, with what has to do with such rows, runs for real in the transaction of the swap, and all else of its file before the fence: nothing else that stands behind it in the migrations has to do with these rows. Writers wait for it; the trial on the followed shadow tries it",
			Do:    "nothing",
		},
		{
			Code: "behind-fence-one-way", Level: "warning, or blocker with `watch.require_reverse`",
			Means: "what is written after the cutover is not recorded for the way back: no table goes back through the migrations that run behind the fence. Where some do, the others are told one by one (`not-reversible`)",
			Do:    "nothing, or describe the rows under `tables`",
		},
		{
			Code: "behind-fence-role", Level: "blocker",
			Means: "migrations behind the fence run as the role of `production.dsn`, also on the shadow's server, and that of `shadow.dsn` cannot become it there",
			Do:    "the statement in the finding, or connect by `shadow.dsn` as the same role",
		},
		{
			Code: "behind-fence-setting", Level: "warning",
			Means: "a session of production has a setting that the shadow's server does not take; the migrations behind the fence run there without it",
			Do:    "nothing, if they do not depend on it",
		},
		{
			Code: "session-kept", Level: "blocker",
			Means: "migrations before the fence leave something in their session that lives there alone, and those behind it run in another one: a temporary table, a prepared statement, a role that was set. With `build: auto` the fence is laid before them",
			Do:    "nothing with `build: auto`; otherwise set `migrations.behind_fence_from` to the file that makes it",
		},
		{
			Code: "cannot-run-behind-fence", Level: "blocker",
			Means: "PostgreSQL refuses the statement inside a transaction (`ALTER SYSTEM`, `CREATE DATABASE`, …), or it would take back the swap, or it names production's database where the shadow's has another name",
			Do:    "run it by hand before or after, in a migration of its own",
		},
		{
			Code: "scratch-login", Level: "blocker",
			Means: "`production.dsn` (or `scratch.dsn`) logs in as a superuser; migrations run in scratch as a role without its rights, which the server does not let in by a password",
			Do:    "a line in `pg_hba.conf` as the finding says; or a role that is no superuser; or a throw-away server by `scratch.dsn`",
		},
		{
			Code: "beyond-database", Level: "blocker",
			Means: "a function, DO block or statement of a migration needs a right that reaches beyond its database (makes a role, reads a file, runs a program, calls another server). It fails in scratch, so that a dry run changes nothing else",
			Do:    "statements for the whole server belong into the migration itself, where they are listed as `cluster-statement`; or do it by hand before the next plan",
		},
		{
			Code: "scratch-restore", Level: "blocker",
			Means: "production's structure cannot be restored in scratch",
			Do:    "see the server's message; often a role or an extension's files are missing where `scratch.dsn` points",
		},
		{
			Code: "disk-too-small", Level: "blocker",
			Means: "the shadow, its WAL and the journals do not fit on the disk, as far as it can be known",
			Do:    "make room",
		},
		{
			Code: "encoding", Level: "blocker",
			Means: "a name, default, comment or function body of production is not UTF-8 (possible in a database in `SQL_ASCII` only; its rows may be anything), or the plan file holds a sign that production's encoding lacks",
			Do:    "rename or rewrite it; use signs that the encoding has",
		},
		{
			Code: "locks-too-few", Level: "blocker",
			Means: "the swap needs more locks than the server's lock table holds",
			Do:    "raise `max_locks_per_transaction`",
		},
		{
			Code: "prepared-transactions", Level: "blocker",
			Means: "prepared transactions are open; they hold locks beyond any session",
			Do:    "commit or roll them back",
		},
	},
}
