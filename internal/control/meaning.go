package control

import (
	"context"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Meaning reads by which state of functions, operators, casts and types the proofs of a
// run were made; empty: none is begun.
func Meaning(ctx context.Context, production pg.Querier, run *Run) (meaning string, err error) {
	if err := production.QueryRow(ctx, `SELECT meaning FROM pgumbra.run WHERE id = $1`, run.ID).Scan(&meaning); err != nil {
		return "", fmt.Errorf("read what the proofs go by: %w", err)
	}
	return meaning, nil
}

// NoteMeaning records it, once proofs that were made by another one are taken back.
func NoteMeaning(ctx context.Context, production pg.Querier, run *Run, meaning string) error {
	if _, err := production.Exec(ctx, `UPDATE pgumbra.run SET meaning = $2 WHERE id = $1`, run.ID, meaning); err != nil {
		return fmt.Errorf("note what the proofs go by: %w", err)
	}
	return nil
}
