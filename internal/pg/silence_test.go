package pg_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestSilenceIsNoLongerThanClientsMayWait: a session knows what its run allows.
func TestSilenceIsNoLongerThanClientsMayWait(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dsn := testcontainers.Database(t)
	for allowed, want := range map[string]string{"": "1s", "250": "250ms", "5000": "1s"} {
		o := pg.Options{Component: "test", Settings: map[string]string{}}
		if allowed != "" {
			o.Settings[pg.StallSetting] = allowed
		}
		conn, err := pg.Connect(ctx, dsn, o)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		err = pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
			if err := pg.BoundSilence(ctx, tx, time.Second); err != nil {
				return err
			}
			return tx.QueryRow(ctx, `SHOW idle_in_transaction_session_timeout`).Scan(&got)
		})
		if err != nil || got != want {
			t.Errorf("max_stall %q: silent for %s at most, want %s: %v", allowed, got, want, err)
		}
		_ = conn.Close(ctx)
	}
}
