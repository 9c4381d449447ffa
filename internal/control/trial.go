package control

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// NoteTrying says for status since when a trial of the swap is under way.
func NoteTrying(ctx context.Context, db pg.Querier, run *Run) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.leader SET trying_since = clock_timestamp() WHERE run_id = $1`, run.ID)
	if err != nil {
		return fmt.Errorf("note that the swap is tried: %w", err)
	}
	return nil
}

// NoteTried takes [NoteTrying] back, whatever became of the trial.
func NoteTried(ctx context.Context, db pg.Querier, run *Run) error {
	_, err := db.Exec(ctx, `UPDATE pgumbra.leader SET trying_since = NULL WHERE run_id = $1 AND trying_since IS NOT NULL`, run.ID)
	if err != nil {
		return fmt.Errorf("note that the swap was tried: %w", err)
	}
	return nil
}

// NoteTrial records what a trial of the swap has shown.
func NoteTrial(ctx context.Context, db pg.Querier, run *Run, trial any) error {
	text, err := pg.JSON(trial)
	if err != nil {
		return err
	}
	if _, err := db.Exec(ctx, `UPDATE pgumbra.leader SET trial = $2, tried_at = clock_timestamp() WHERE run_id = $1`, run.ID, text); err != nil {
		return fmt.Errorf("note the trial: %w", err)
	}
	return nil
}

// LastTrial is what [NoteTrial] recorded last, as JSON; nil: nothing, as in a
// control schema of an older version.
func LastTrial(ctx context.Context, db pg.Querier, run *Run) (trial []byte, err error) {
	err = db.QueryRow(ctx, `SELECT pg_catalog.to_json(l) ->> 'trial' FROM pgumbra.leader l WHERE run_id = $1`, run.ID).Scan(&trial)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the last trial: %w", err)
	}
	return trial, nil
}
