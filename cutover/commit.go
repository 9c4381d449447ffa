package cutover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// How long an answer to COMMIT is waited for, and how long the server is asked
// afterwards what became of it.
// A transaction that is in progress for longer than endAfter is ended: its
// backend waits for a COMMIT that was lost on the way, and holds the fence.
const (
	commitPatience = 10 * time.Second
	lookPatience   = 60 * time.Second
	endAfter       = time.Second
)

// errNoAnswer says that COMMIT was sent and that nobody knows yet what became
// of it. The caller asks the server.
var errNoAnswer = errors.New("no answer to COMMIT")

// commit decides, where the shadow is, and nowhere else. Of a group's members one
// decides for all.
func (a *attempt) commit(ctx context.Context) error {
	if err := a.decision(ctx); err != nil {
		return err
	}
	if a.c.beforeCommit != nil {
		a.c.beforeCommit(a.shadow.pid)
	}
	err := sendCommit(ctx, a.shadow.locker)
	a.via.answered()
	if errors.Is(err, errNoAnswer) {
		a.c.Log.Warn("no answer to the swap's commit; asking the server", "xid", a.decides.XID, "error", err)
		err = a.c.learn(ctx, a.shadow.dsn, a.decides, a.shadow.pid)
	}
	if err == nil {
		a.out.Swapped = true
		a.tellCommitted()
	}
	return err
}

// sendCommit returns nil when the transaction is committed, [errNoAnswer], or
// an error that says that it was rolled back. Once COMMIT is sent the caller's
// context no longer counts: half a swap does not exist, and its outcome must be
// known.
func sendCommit(ctx context.Context, conn *pgx.Conn) error {
	sent, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitPatience)
	defer cancel()
	tag, err := conn.Exec(sent, "COMMIT")
	var answer *pgconn.PgError
	switch {
	case err == nil && tag.String() == "COMMIT":
		return nil
	case err == nil:
		return fmt.Errorf("commit the swap: the server answered %s", tag)
	case errors.As(err, &answer) && !pg.Unreachable(err) && answer.Code != pgerrcode.QueryCanceled:
		return fmt.Errorf("commit the swap: %w", err)
	}
	return fmt.Errorf("%w: %w", errNoAnswer, err)
}

// learn asks a server how the swap's transaction ended, until it is no longer
// in progress. Nil: committed, by its number and by the run's row. A notNow: rolled back,
// or lost in a crash, after which its number may be another's. [ErrUnknown]: neither can
// be told.
func (c *Cutover) learn(ctx context.Context, dsn string, d control.Decision, backend uint32) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(c.lookFor, lookPatience))
	defer cancel()
	began := time.Now()
	var last error
	for ctx.Err() == nil {
		f, err := c.look(ctx, dsn, d)
		switch {
		case err != nil:
			last = err
		case f.Status == "committed" && f.Moved:
			return nil
		case rolledBack(f):
			return refuse(Blocker{Code: "connection-lost", Message: "the connection was lost at the swap's commit, and the server rolled it back",
				Fix: "nothing changed; it is tried again"})
		case f.Status != "in progress":
			return fmt.Errorf("%w: %s says %q of transaction %s, and the run's row in pgumbra.run there is %s phase %s", ErrUnknown,
				placeOf(dsn), f.Status, d.XID, map[bool]string{true: "in", false: "not in"}[f.Moved], c.Upgrade.Landing())
		default:
			last = errors.New("it is still in progress")
			if time.Since(began) > endAfter {
				last = errors.Join(last, end(ctx, dsn, d.XID, backend))
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("%w: transaction %s on %s (pgumbra.run of %s): %w", ErrUnknown, d.XID, placeOf(dsn), c.Upgrade.Name, last)
}

// rolledBack: it did not happen and never will. On the same write-ahead log a COMMIT that
// was answered, or seen by anybody, moved the row; where that is not moved, a crash took
// the transaction, and a number that is committed nevertheless was given away again.
// A standby that was promoted may lack what clients have seen: of that nothing is concluded.
func rolledBack(f control.Fate) bool {
	if f.Moved {
		return false
	}
	return f.Status == "aborted" || f.SameLog && (f.Status == "committed" || f.Status == control.NotAssigned)
}

// look asks in a session of its own.
func (c *Cutover) look(ctx context.Context, dsn string, d control.Decision) (f control.Fate, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "cutover"})
	if err != nil {
		return f, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return control.FateOf(ctx, conn, c.Upgrade, d)
}

// end ends a backend of a cutover's if it still is in that transaction, whose
// number nobody else has.
func end(ctx context.Context, dsn, xid string, backend uint32) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "cutover"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
		WHERE pid = $1 AND backend_xid = $2::xid8::xid`, backend, xid)
	return err
}
