package cutover

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// stopAt are the moments at which the process that swaps is stopped, as by
// SIGSTOP: nothing of it goes on, and its sessions stay open.
var stopAt = []string{"after compare the tables behind the fence", "before drain", "after drain", "before wait for old snapshots",
	"after read sequences", "before swap", "after swap", "after look again", "commit", untracked}

// untracked is after the sequences were read, in a database that keeps no track of what its
// sessions do.
const untracked = "after read sequences, untracked"

func TestStoppedProcessHoldsNobodyUpForLong(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	const stall, bearable = 1500 * time.Millisecond, 1.6
	for _, moment := range stopAt {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			f := shop(t, plans.Rename, "")
			f.settle(stall, time.Second)
			if moment == untracked {
				f.exec("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET track_activities = off', current_database()); END $$")
			}
			before := f.dump()
			client, stopped := f.client(), false
			var waited time.Duration
			stop := func() error {
				if stopped {
					return nil
				}
				stopped = true
				began := time.Now()
				_, err := client.Exec(context.Background(), f.fill("UPDATE {schema}.account SET balance = 7 WHERE id = 1"))
				waited = time.Since(began)
				return err
			}
			f.hook = func(at string) error {
				if at == strings.TrimSuffix(moment, ", untracked") {
					return stop()
				}
				return nil
			}
			f.beforeCommit = func(uint32) {
				if moment == "commit" {
					if err := stop(); err != nil {
						t.Error(err)
					}
				}
			}
			out, err := f.Attempt(context.Background()) // the process has woken up
			if err != nil || out.Swapped || !stopped {
				t.Fatalf("%+v %v %t", out, err, stopped)
			}
			if ratio := waited.Seconds() / stall.Seconds(); ratio > bearable {
				t.Errorf("the client waited for %s, %.1f times max_stall", waited, ratio)
			}
			f.exec("UPDATE {schema}.account SET balance = 0 WHERE id = 1")
			if after := f.dump(); len(sorted(after)) != len(sorted(before)) {
				t.Errorf("production is not as it was:\n%s", after)
			}
			f.settle(20*time.Second, time.Second)
			f.swaps()
			if get[string](f, "SELECT phase FROM pgumbra.run") != string(control.Watching) {
				t.Error("the second attempt is not recorded")
			}
		})
	}
}

// TestStoppedWorkAfterTheSwapLetsGo: a lock of a moment, held by a process that
// is stopped then.
func TestStoppedWorkAfterTheSwapLetsGo(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.swaps()
	client, tries := f.client(), 0
	err := briefly(context.Background(), f.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(context.Background(), f.fill("LOCK TABLE {schema}.account IN ACCESS EXCLUSIVE MODE")); err != nil {
			return err
		}
		if tries++; tries > 1 {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if _, err := client.Exec(ctx, f.fill("SELECT FROM {schema}.account")); err != nil {
			return errors.Join(errors.New("a reader waited for a stopped process"), err)
		}
		_, err := tx.Exec(context.Background(), "SELECT 1")
		return err
	})
	if err != nil || tries != 2 {
		t.Error(tries, err)
	}
}
