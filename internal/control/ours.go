package control

import (
	"context"
	_ "embed" // ours.sql
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// oursLock is the first key of the advisory lock under which a run's function
// that knows its sessions is written, the second is the run's number.
const oursLock = 0x70676d6f // "pgmo"

//go:embed ours.sql
var oursSQL string

// oursName is the function that tells a session of this run's processes from
// everybody else's.
func oursName(run *Run) pg.Name {
	return pg.Name{Schema: Schema, Name: fmt.Sprintf("ours_%d", run.ID)}
}

// Ours is SQL that is true in a session of this run's processes: one function
// call, a microsecond or two. For bodies of functions.
func Ours(run *Run) string { return oursName(run).Quoted() + "()" }

// NotOurs is SQL that is true in everybody else's session, for the WHEN of a
// trigger. Clients pay for one look at a setting.
func NotOurs(run *Run) string {
	return "(pg_catalog.current_setting(" + pg.Literal(pg.SessionSetting) + ", true) IS NULL OR NOT " + Ours(run) + ")"
}

// Claim makes this process the only one whose sessions count as the run's, in
// one database. For a new leader: what its predecessor's orphans write is
// refused from now on.
func Claim(ctx context.Context, db pg.Beginner, run *Run) error {
	return pg.ReadCommitted(ctx, db, func(tx pgx.Tx) error { return claim(ctx, tx, run) })
}

func claim(ctx context.Context, tx pg.Querier, run *Run) error {
	if err := lockOurs(ctx, tx, run); err != nil {
		return err
	}
	return writeOurs(ctx, tx, run, []string{pg.SessionDigest()})
}

// Admit lets this process's sessions count as the run's beside those that do
// already.
func Admit(ctx context.Context, db pg.Beginner, run *Run) error {
	return pg.ReadCommitted(ctx, db, func(tx pgx.Tx) error {
		if err := lockOurs(ctx, tx, run); err != nil {
			return err
		}
		var known []string
		err := tx.QueryRow(ctx, `SELECT coalesce(pg_catalog.array_agg(m.digest[1]), '{}')
			FROM pg_catalog.pg_proc p, LATERAL pg_catalog.regexp_matches(p.prosrc, '[0-9a-f]{64}', 'g') AS m (digest)
			WHERE p.oid = pg_catalog.to_regprocedure($1)`, Ours(run)).Scan(&known)
		if err != nil {
			return fmt.Errorf("read whose sessions are the run's: %w", err)
		}
		return writeOurs(ctx, tx, run, append(known, pg.SessionDigest()))
	})
}

// lockOurs: two that replace one function at once fail.
func lockOurs(ctx context.Context, tx pg.Querier, run *Run) error {
	_, err := tx.Exec(ctx, `SELECT pg_catalog.pg_advisory_xact_lock($1, $2)`, oursLock, int32(run.ID))
	if err != nil {
		return fmt.Errorf("lock what tells the run's sessions: %w", err)
	}
	return nil
}

// writeOurs replaces the function, which takes no lock on any table. Triggers
// call it with the rights of whoever writes, so everybody may.
func writeOurs(ctx context.Context, tx pg.Querier, run *Run, digests []string) error {
	for _, statement := range DescribeOurs(run, digests...) {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make what tells the run's sessions: %w", err)
		}
	}
	return nil
}

// DescribeOurs tells what [Claim] and [Admit] send, with the digests of the sessions'
// secrets.
func DescribeOurs(run *Run, digests ...string) []string {
	quoted := make([]string, len(digests))
	for i, d := range digests {
		quoted[i] = pg.Literal(d)
	}
	sql := strings.NewReplacer("{function}", Ours(run), "{setting}", pg.Literal(pg.SessionSetting),
		"{digests}", strings.Join(quoted, ", ")).Replace(oursSQL)
	return []string{sql, "GRANT EXECUTE ON FUNCTION " + Ours(run) + " TO PUBLIC"}
}

// DescribeDisown tells what [Disown] sends.
func DescribeDisown(run *Run) string { return "DROP FUNCTION IF EXISTS " + Ours(run) }

// Disown drops the function, in one database. For the end of a run, when no
// trigger asks any more.
func Disown(ctx context.Context, db pg.Querier, run *Run) error {
	if _, err := db.Exec(ctx, DescribeDisown(run)); err != nil {
		return fmt.Errorf("drop what tells the run's sessions: %w", err)
	}
	return nil
}
