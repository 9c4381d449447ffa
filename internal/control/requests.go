package control

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Requested reports whether somebody asks the leader for a swap.
func Requested(ctx context.Context, db pg.Querier, run *Run) (bool, error) {
	return requested(ctx, db, run, "")
}

// HoldRequest is [Requested] under the lock of the leader's row: until the end of
// the transaction nobody asks, and nobody takes back what was asked.
func HoldRequest(ctx context.Context, tx pgx.Tx, run *Run) (bool, error) {
	return requested(ctx, tx, run, " FOR UPDATE")
}

func requested(ctx context.Context, db pg.Querier, run *Run, lock string) (asked bool, err error) {
	err = db.QueryRow(ctx, `SELECT cutover_requested IS NOT NULL FROM pgumbra.leader WHERE run_id = $1`+lock, run.ID).Scan(&asked)
	if err != nil {
		return false, fmt.Errorf("look whether a cutover is asked for: %w", err)
	}
	return asked, nil
}

// Request asks the leader for a swap, if the run still is in a phase in which it
// means what it is meant to: a request for a cutover that came after the swap would
// be one to go back. The lock on the run's row waits for a swap that is being
// committed, and looks again; the leader's row is locked first, as by [HoldRequest].
// False: the phase is another one by now.
func Request(ctx context.Context, db pg.Beginner, run *Run, seen Phase) (noted bool, err error) {
	err = pg.ReadCommitted(ctx, db, func(tx pgx.Tx) error {
		if _, err := HoldRequest(ctx, tx, run); err != nil {
			return err
		}
		var now Phase
		if err := tx.QueryRow(ctx, `SELECT phase FROM pgumbra.run WHERE id = $1 FOR SHARE`, run.ID).Scan(&now); err != nil {
			return err
		}
		if noted = !now.Over() && now.Swapped() == seen.Swapped(); !noted {
			return nil
		}
		_, err := tx.Exec(ctx, `UPDATE pgumbra.leader SET cutover_requested = clock_timestamp() WHERE run_id = $1`, run.ID)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("ask the leader: %w", err)
	}
	return noted, nil
}

// Withdraw takes away what was asked of the leader: by whoever does not wait for it
// any more, or once it was answered.
func Withdraw(ctx context.Context, db pg.Querier, run *Run) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.leader SET cutover_requested = NULL WHERE run_id = $1`, run.ID)
	if err != nil {
		return fmt.Errorf("take a request for a cutover back: %w", err)
	}
	return nil
}
