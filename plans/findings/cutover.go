package findings

var cutoverSection = Section{
	Title: "What stands against a cutover",
	Intro: "These come from `cutover` and, with the ends exchanged, from `rollback`, from `status`, and from the log of a run that leads, with what stands around (above) and with what leads the clients. Each says what is in the way and what to do about it;\n" +
		"nothing has changed then, and `cutover` ends with exit code 6 after the last attempt. What only somebody's hand can help with ends it at the first.",
	Checks: []Check{
		{
			Code: "not-following", Level: "blocker",
			Means: "a table does not follow production yet",
			Do:    "let the run go on",
		},
		{
			Code: "not-verified", Level: "blocker",
			Means: "a table is not verified, or is being verified once more, or somebody found it to differ a moment ago; or so many rows changed since they were verified that doing it again behind the fence would take longer than a quarter of `cutover.max_stall`, at the rate that this run has measured; or a table without a key changed and was last verified longer ago than `cutover.verify_within`",
			Do:    "let the run go on: it tries again; or `pgumbra verify`",
		},
		{
			Code: "differs", Level: "blocker",
			Means: "a table differs from what production makes of it",
			Do:    "the run ends and shows the rows; see [what if](what-if.md#verification-found-differences-exit-code-3)",
		},
		{
			Code: "lag", Level: "blocker",
			Means: "so many changes are not replayed, and draining them would take more than half of `cutover.max_stall`",
			Do:    "wait, or where no process leads the run `pgumbra run`; see [what if](what-if.md) if it never ends",
		},
		{
			Code: "structure-changed", Level: "blocker",
			Means: "production's structure is not what the plan was made of, by name of the object; or it changed while the fence was put up",
			Do:    "undo the change, or abort and plan again",
		},
		{
			Code: "structure-under-way", Level: "blocker",
			Means: "a session has an open transaction that may change the schemas",
			Do:    "wait for it, or end it, by the pid",
		},
		{
			Code: "invalid-index", Level: "blocker",
			Means: "an index of the shadow is not valid",
			Do:    "let the run build it; abort and run again if it stays so",
		},
		{
			Code: "foreign-key-violated", Level: "blocker",
			Means: "rows of production break a foreign key that the migrations bring",
			Do:    "correct the rows",
		},
		{
			Code: "locks", Level: "blocker",
			Means: "the lock table has no room for the swap",
			Do:    "`max_locks_per_transaction`, and a restart",
		},
		{
			Code: "privilege", Level: "blocker",
			Means: "a right is missing that was there at the plan",
			Do:    "the GRANT that it prints",
		},
		{
			Code: "open-transaction", Level: "blocker",
			Means: "a session holds a lock or a snapshot that the cutover waits for, or is in a transaction that clients would be held for",
			Do:    "wait, or end the session, by the pid",
		},
		{
			Code: "running-backup", Level: "blocker",
			Means: "a pg_dump reads the tables",
			Do:    "wait for it",
		},
		{
			Code: "wraparound-vacuum", Level: "blocker",
			Means: "a vacuum is at work that must not be interrupted: it prevents the wraparound of transaction ids",
			Do:    "wait for it",
		},
		{
			Code: "prepared-transaction", Level: "blocker",
			Means: "a prepared transaction may hold locks and changes",
			Do:    "COMMIT PREPARED or ROLLBACK PREPARED, as whoever prepared it decides",
		},
		{
			Code: "hook", Level: "blocker",
			Means: "the command of `hooks.before_cutover` failed",
			Do:    "the cutover waits until it ends with 0",
		},
		{
			Code: "lock-queue", Level: "blocker",
			Means: "a session waits behind the fence to lock a table for itself (TRUNCATE, ALTER TABLE, VACUUM FULL), and the drain, which reads the table, would wait behind it; the attempt ends at once",
			Do:    "nothing, as a rule: it is tried again. Hold such statements back for the cutover where they never pause",
		},
		{
			Code: "over-budget", Level: "blocker",
			Means: "a step took longer than `cutover.max_stall` or `cutover.lock_timeout`. Where nobody was waited for, and the swap or the migrations behind the fence took more than half of `cutover.max_stall` by themselves, twice, the command ends; else it is tried again",
			Do:    "a quieter moment, or larger budgets",
		},
		{
			Code: "swap-too-long", Level: "blocker",
			Means: "the swap took so long in its trial, and `cutover.max_stall` is shorter; or it was not tried yet. Nobody was held for it; no attempt is made",
			Do:    "raise `cutover.max_stall` if writers can wait that long, or upgrade fewer schemas at a time",
		},
		{
			Code: "behind-fence-unlike", Level: "blocker",
			Means: "migrations behind the fence made something else of a table here than on the empty structure in scratch, so that it is not known how its rows go back; all was rolled back",
			Do:    "`pgumbra abort`; with `watch.enabled: false`, if there is no need to go back, run again",
		},
		{
			Code: "behind-fence-too-long", Level: "blocker",
			Means: "the same, with the migrations that run behind the fence; where it was not tried yet, let the run go on",
			Do:    "raise `cutover.max_stall`, or describe the rows in the plan file under `tables`",
		},
		{
			Code: "view-refreshed", Level: "blocker",
			Means: "production refreshed a materialized view while an attempt began, and to fill the shadow's once more, as is done otherwise while REFRESH waits, takes longer than a quarter of `cutover.max_stall`",
			Do:    "nothing: the shadow's is filled again before the next one. If it comes every time, let the job that refreshes it pause",
		},
		{
			Code: "total-stall", Level: "blocker",
			Means: "attempts have held clients for so long in all that another one might be too much",
			Do:    "see in the log what stood in their way, then raise `cutover.max_total_stall`",
		},
		{
			Code: "row-refused", Level: "blocker",
			Means: "of a rollback: the old table does not take a row that is in the new one, by its key, and types and checks did not tell (a duplicate, say). It is not left out: it would be lost",
			Do:    "change or delete the row where it is now, then roll back again: its table is tried at once; where a sequence of the old side is at its end, `ALTER SEQUENCE` as the message says",
		},
		{
			Code: "row-unfit", Level: "blocker",
			Means: "of a rollback: the old table cannot hold rows of the new one as they are: a value beyond the old type, one that an old CHECK refuses, one that it would round. status names them by their keys; the others go back meanwhile",
			Do:    "change or delete such rows where they are now, or rollback --accept-loss, which leaves them behind: the old side keeps what it had of them",
		},
		{
			Code: "sequence-gone", Level: "blocker",
			Means: "a sequence was dropped or renamed since the plan was made, or since the cutover, and its numbers go on on the other side",
			Do:    "give it its name back, or make it again with the next number as START",
		},
		{
			Code: "sequence-turned", Level: "blocker",
			Means: "clients have turned a sequence since the last swap (`INCREMENT` of another sign): how far it had come before is not known, and the other side would hand its numbers out again",
			Do:    "turn it again, and set it behind the numbers that it has handed out",
		},
		{
			Code: "made-since", Level: "blocker",
			Means: "of a rollback: a table was made in the new schemas after the cutover, and the old side has nothing like it",
			Do:    "drop it, or move it to a schema that stays",
		},
		{
			Code: "connection-lost", Level: "blocker",
			Means: "the connection was lost at the commit, and the server rolled it back",
			Do:    "nothing: it is tried again",
		},
		{
			Code: "interrupted", Level: "blocker",
			Means: "an earlier cutover was interrupted, and nothing of it is left",
			Do:    "nothing: it is tried again",
		},
		{
			Code: "shadow-opened", Level: "blocker",
			Means: "somebody took a trigger `!pgumbra_gate` off a table of the shadow, or disabled it, and may have written to it",
			Do:    "nothing: the run closes the table and copies it again; leave triggers of pgumbra alone",
		},
		{
			Code: "fence-lost", Level: "blocker",
			Means: "production lost its fence: it failed over to a standby that was behind, or was restored, while clients were held",
			Do:    "see [what if](what-if.md)",
		},
		{
			Code: "traffic", Level: "blocker",
			Means: "clients cannot be held or redirected, or a PgBouncer does not answer",
			Do:    "see to it; `pgumbra plan` checks it",
		},
		{
			Code: "shadow-database", Level: "blocker",
			Means: "the shadow's server refuses what brings its database in line",
			Do:    "what the message says",
		},
	},
}
