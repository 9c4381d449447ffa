package control_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestMain(m *testing.M) { testcontainers.Run(m) }

// asFirstMade takes a control schema back to its first version.
const asFirstMade = `ALTER TABLE pgumbra.run DROP COLUMN IF EXISTS origin, DROP COLUMN IF EXISTS switch, DROP COLUMN IF EXISTS shadow;
	TRUNCATE pgumbra.version; INSERT INTO pgumbra.version VALUES (1, false);`

// Whatever state an older or a killed pgumbra left its control schema in, the
// runs in it are kept and the newest structure is there afterwards.
func TestMigrateBringsAnyEarlierStateUpToDate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		left string
		runs int
	}{
		"an older version":                     {asFirstMade, 1},
		"died before a file":                   {asFirstMade + `UPDATE pgumbra.version SET (version, dirty) = (2, true)`, 1},
		"died after a file":                    {asFirstMade + `ALTER TABLE pgumbra.run ADD COLUMN origin json, ADD COLUMN switch json; UPDATE pgumbra.version SET (version, dirty) = (2, true)`, 1},
		"died after the first one":             {asFirstMade + `UPDATE pgumbra.version SET dirty = true`, 1},
		"died before the first one":            {`DROP SCHEMA pgumbra CASCADE; CREATE SCHEMA pgumbra; CREATE TABLE pgumbra.version (version bigint PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO pgumbra.version VALUES (1, true)`, 0},
		"died before it noted where it was at": {`DROP SCHEMA pgumbra CASCADE; CREATE SCHEMA pgumbra`, 0},
		"up to date":                           {``, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, conn := recorded(t)
			must(t, pg.ExecScript(t.Context(), conn, c.left))
			if _, err := control.Find(t.Context(), conn, "up"); c.runs == 1 && err != nil {
				t.Error("before it is migrated:", err)
			}
			must(t, control.Migrate(t.Context(), dsn))
			var runs, columns, version int
			must(t, conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pgumbra.run), (SELECT version FROM pgumbra.version WHERE NOT dirty),
				(SELECT count(*) FROM pg_attribute WHERE attrelid = 'pgumbra.run'::regclass AND attname IN ('origin', 'switch', 'shadow'))`).Scan(&runs, &version, &columns))
			if runs != c.runs || columns != 3 || version < 3 {
				t.Errorf("%d runs, %d of the new columns, version %d", runs, columns, version)
			}
		})
	}
}

// TestRecordThatIsBeingDroppedIsNoRun: a leader that looks while finish --purge drops the
// record ended with an error, and not as its run did.
func TestRecordThatIsBeingDroppedIsNoRun(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	dsn, conn := recorded(t)
	other, err := pgx.Connect(ctx, dsn)
	must(t, err)
	defer func() { _ = other.Close(ctx) }()
	tx, err := other.Begin(ctx)
	must(t, err)
	_, err = tx.Exec(ctx, `DROP SCHEMA pgumbra CASCADE`)
	must(t, err)
	found := make(chan error)
	go func() { _, err := control.Find(ctx, conn, "up"); found <- err }()
	waiting := false
	for !waiting && ctx.Err() == nil {
		must(t, tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid = $1)`, conn.PgConn().PID()).Scan(&waiting))
	}
	must(t, tx.Commit(ctx))
	if err := <-found; !errors.Is(err, control.ErrNoRun) {
		t.Error(err)
	}
}

func TestNewerControlSchemaIsRefusedUntouched(t *testing.T) {
	t.Parallel()
	dsn, conn := recorded(t)
	must(t, pg.ExecScript(t.Context(), conn, `ALTER TABLE pgumbra.run DROP COLUMN shadow; UPDATE pgumbra.version SET version = 1000, dirty = true`))
	if _, err := control.Find(t.Context(), conn, "up"); !errors.Is(err, control.ErrNewer) {
		t.Error("to find a run:", err)
	}
	if err := control.Migrate(t.Context(), dsn); !errors.Is(err, control.ErrNewer) {
		t.Error("to migrate:", err)
	}
	var untouched bool
	must(t, conn.QueryRow(t.Context(), `SELECT version = 1000 AND dirty FROM pgumbra.version`).Scan(&untouched))
	if !untouched {
		t.Error("the version was changed")
	}
}

// A leader of an older pgumbra is alive, and only who leads migrates: it is asked in its
// own words, or not at all.
func TestOlderLeaderIsAskedForWhatItKnows(t *testing.T) {
	t.Parallel()
	_, conn := recorded(t)
	must(t, pg.ExecScript(t.Context(), conn, `ALTER TABLE pgumbra.leader DROP COLUMN rollback_as; UPDATE pgumbra.version SET version = 18`))
	run, err := control.Find(t.Context(), conn, "up")
	must(t, err)
	if noted, err := control.Request(t.Context(), conn, run, control.RollbackAs{Follow: true}, run.Phase); noted || !errors.Is(err, control.ErrOlderLeader) {
		t.Errorf("%t, %v", noted, err)
	}
	noted, err := control.Request(t.Context(), conn, run, control.RollbackAs{}, run.Phase)
	must(t, err)
	var asked bool
	must(t, conn.QueryRow(t.Context(), `SELECT cutover_requested IS NOT NULL FROM pgumbra.leader`).Scan(&asked))
	if !noted || !asked {
		t.Errorf("noted %t, asked %t", noted, asked)
	}
}

// Who asks for a rollback in the moment in which the leader ends a cutover asks for the next
// swap: the leader, which then notes that it was answered, has not seen it.
func TestRequestThatCameAfterTheSwapIsNotTakenForAnswered(t *testing.T) {
	t.Parallel()
	_, conn := recorded(t)
	run, err := control.Find(t.Context(), conn, "up")
	must(t, err)
	must(t, pg.ExecScript(t.Context(), conn, `UPDATE pgumbra.run SET phase = 'watching'`))
	run.Entered(control.Watching)
	asks := func(want bool) {
		t.Helper()
		asked, as, err := control.Requested(t.Context(), conn, run)
		if must(t, err); asked != want || asked && !as.Follow {
			t.Errorf("asked: %t, %+v", asked, as)
		}
	}
	noted, err := control.Request(t.Context(), conn, run, control.RollbackAs{Follow: true}, control.Watching)
	if must(t, err); !noted {
		t.Fatal("the request was not noted")
	}
	must(t, control.Answered(t.Context(), conn, run, control.Cutover))
	asks(true)
	run.Entered(control.Following) // one that is left standing is none for a cutover
	asks(false)
	run.Entered(control.Watching)
	must(t, control.Answered(t.Context(), conn, run, control.Watching))
	asks(false)
}

// A command that was killed, or stopped at once by a second Ctrl-C, asks for nothing any more:
// the leader would swap in the absence of who typed it.
func TestRequestEndsWithTheSessionOfWhoAsked(t *testing.T) {
	t.Parallel()
	dsn, conn := recorded(t)
	run, err := control.Find(t.Context(), conn, "up")
	must(t, err)
	asker, err := pg.Connect(t.Context(), dsn, pg.Options{Component: "cutover"})
	must(t, err)
	noted, err := control.Request(t.Context(), asker, run, control.RollbackAs{}, run.Phase)
	must(t, err)
	asked, _, err := control.Requested(t.Context(), conn, run)
	if must(t, err); !noted || !asked {
		t.Fatalf("noted %t, asked %t", noted, asked)
	}
	must(t, asker.Close(t.Context()))
	for asked && t.Context().Err() == nil { // the session ends a moment later
		asked, _, err = control.Requested(t.Context(), conn, run)
		must(t, err)
	}
}

// A statement of another run's that goes on for long must not make it queue
// heartbeats behind a migration; once that is over the same again is right.
func TestMigrateThatDoesNotGetItsLockMayBeRepeated(t *testing.T) {
	t.Parallel()
	dsn, conn := recorded(t)
	must(t, pg.ExecScript(t.Context(), conn, asFirstMade))
	tx, err := conn.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "SELECT 1 FROM pgumbra.run FOR SHARE")
	must(t, err)
	if err := control.Migrate(t.Context(), dsn); pg.State(err) != pgerrcode.LockNotAvailable {
		t.Error("beside a lock:", err)
	}
	must(t, tx.Rollback(t.Context()))
	must(t, control.Migrate(t.Context(), dsn))
}

// recorded is a database whose control schema holds one run.
func recorded(t *testing.T) (dsn string, conn *pgx.Conn) {
	t.Helper()
	dsn = testcontainers.Database(t)
	must(t, control.Migrate(t.Context(), dsn))
	conn, err := pg.Connect(t.Context(), dsn, pg.Options{Component: "test"})
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	_, err = control.Create(t.Context(), conn, &plans.Plan{Run: "up"})
	must(t, err)
	return dsn, conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
