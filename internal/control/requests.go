package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// RollbackAs is how a rollback is to be done.
type RollbackAs struct {
	// Follow the new side again afterwards; otherwise the run is over.
	Follow bool `json:"follow"`
	// AcceptLoss leaves behind what does not come back.
	AcceptLoss bool `json:"accept_loss"`
}

// request is what the leader is asked for, as it is stored.
type request struct {
	RollbackAs
	// Swapped is on which side of the swap the run was: it tells a request for a cutover from
	// one to go back. nil: an older pgumbra asks.
	Swapped *bool `json:"swapped,omitempty"`
	// PID and Started are the session of who asks and waits: with it ends what it asked for,
	// however it ended. 0: an older pgumbra asks.
	PID     int32     `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"`
}

// requestedSQL: a role that may not see another one's sessions sees their number.
const requestedSQL = `SELECT cutover_requested IS NOT NULL AND (rollback_as ->> 'pid' IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
	WHERE a.pid = (rollback_as ->> 'pid')::int AND (a.backend_start IS NULL OR a.backend_start = (rollback_as ->> 'started')::timestamptz))),
	coalesce(rollback_as, '{}') FROM pgumbra.leader WHERE run_id = $1`

// Requested reports whether somebody asks the leader for the swap that is next in run's
// phase, and waits for it, and how.
func Requested(ctx context.Context, db pg.Querier, run *Run) (asked bool, as RollbackAs, err error) {
	var text []byte
	err = db.QueryRow(ctx, requestedSQL, run.ID).Scan(&asked, &text)
	var r request
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return false, as, fmt.Errorf("look whether a swap is asked for: %w", err)
	}
	return asked && (r.Swapped == nil || *r.Swapped == run.Phase.Swapped()), r.RollbackAs, nil
}

// HoldRequest locks the leader's row: until the end of the transaction nobody asks, and
// nobody takes back what was asked.
func HoldRequest(ctx context.Context, tx pgx.Tx, run *Run) error {
	if _, err := tx.Exec(ctx, `SELECT FROM pgumbra.leader WHERE run_id = $1 FOR UPDATE`, run.ID); err != nil {
		return fmt.Errorf("look whether a cutover is asked for: %w", err)
	}
	return nil
}

// ErrOlderLeader says that the process that leads the run is an older pgumbra, which does
// not know what it is asked for. Nothing was changed; the caller says so.
var ErrOlderLeader = errors.New("the run is led by an older pgumbra than this one, which does not know --follow and --accept-loss")

// asSince is the control schema's version in which a request says how.
const asSince = 19

// requesting is the statement that asks, in whatever version the control schema has: a
// leader of an older pgumbra may be alive, and only who leads migrates.
func requesting(ctx context.Context, tx pgx.Tx, as RollbackAs) (string, error) {
	now, dirty, err := version(ctx, tx)
	switch {
	case err != nil:
		return "", err
	case now > asSince || now == asSince && !dirty || now == 0: // 0: it may not be read
		return `UPDATE pgumbra.leader SET cutover_requested = clock_timestamp(), rollback_as = $2 WHERE run_id = $1`, nil
	case as != RollbackAs{}:
		return "", ErrOlderLeader
	}
	return `UPDATE pgumbra.leader SET cutover_requested = clock_timestamp() WHERE run_id = $1 AND $2::json IS NOT NULL`, nil
}

// Request asks the leader for a swap, if the run still is in a phase in which it
// means what it is meant to: a request for a cutover that came after the swap would
// be one to go back. The lock on the run's row waits for a swap that is being
// committed, and looks again; the leader's row is locked first, as by [HoldRequest].
// False: the phase is another one by now.
//
// as is how a rollback is to be done. [ErrOlderLeader] where a leader knows no such thing.
func Request(ctx context.Context, db pg.Beginner, run *Run, as RollbackAs, seen Phase) (noted bool, err error) {
	swapped := seen.Swapped()
	r := request{RollbackAs: as, Swapped: &swapped}
	err = pg.ReadCommitted(ctx, db, func(tx pgx.Tx) error {
		if err := HoldRequest(ctx, tx, run); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `SELECT pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()`).Scan(&r.PID, &r.Started)
		if err != nil {
			return err
		}
		text, err := pg.JSON(r)
		if err != nil {
			return err
		}
		var now Phase
		if err := tx.QueryRow(ctx, `SELECT phase FROM pgumbra.run WHERE id = $1 FOR SHARE`, run.ID).Scan(&now); err != nil {
			return err
		}
		if noted = !now.Over() && now.Swapped() == seen.Swapped(); !noted {
			return nil
		}
		sql, err := requesting(ctx, tx, as)
		if err == nil {
			_, err = tx.Exec(ctx, sql, run.ID, text)
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("ask the leader: %w", err)
	}
	return noted, nil
}

// Answered takes away what the leader was asked while the run was in phase asked, or on the
// same side of the swap. What it is asked from the swap's commit on is left: it is the next one.
func Answered(ctx context.Context, db pg.Querier, run *Run, asked Phase) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.leader SET cutover_requested = NULL WHERE run_id = $1
		AND coalesce((rollback_as ->> 'swapped')::boolean, $2) = $2`, run.ID, asked.Swapped())
	if err != nil {
		return fmt.Errorf("note that a request is answered: %w", err)
	}
	return nil
}

// Withdraw takes away what was asked of the leader: by whoever does not wait for it
// any more.
func Withdraw(ctx context.Context, db pg.Querier, run *Run) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.leader SET cutover_requested = NULL WHERE run_id = $1`, run.ID)
	if err != nil {
		return fmt.Errorf("take a request for a cutover back: %w", err)
	}
	return nil
}
