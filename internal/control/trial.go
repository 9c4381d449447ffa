package control

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// NoteTrial records what a trial of the migrations behind the fence has shown.
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

// LastTrial is what [NoteTrial] recorded last, as JSON; nil: nothing.
func LastTrial(ctx context.Context, db pg.Querier, run *Run) (trial []byte, err error) {
	if err := db.QueryRow(ctx, `SELECT trial FROM pgumbra.leader WHERE run_id = $1`, run.ID).Scan(&trial); err != nil {
		return nil, fmt.Errorf("read the last trial: %w", err)
	}
	return trial, nil
}
