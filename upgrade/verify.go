package upgrade

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/replay"
	"github.com/pgumbra/pgumbra/shadow"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

// TableVerdict is what verification found of one table.
type TableVerdict struct {
	Name    string         `json:"table"`
	Table   *plans.Table   `json:"-"`
	Verdict replay.Verdict `json:"verdict"`
	// VerifiedAt is what status says: every row was equal then. Null: not every one
	// is proved.
	VerifiedAt *time.Time `json:"verified_at"`
}

// AllEqual reports whether no table differs.
func AllEqual(verdicts []TableVerdict) bool {
	for _, v := range verdicts {
		if !v.Verdict.Equal {
			return false
		}
	}
	return true
}

// Verify compares every table now, beside a leader that follows or without one.
// It reads at snapshots of its own; where changes are pending it replays them
// under the position's row lock, for which it and the leader take turns.
func Verify(ctx context.Context, file *planfile.File, log *slog.Logger) ([]TableVerdict, error) {
	conn, err := connect(ctx, file, "verify")
	if err != nil {
		return nil, err
	}
	run, err := control.Find(ctx, conn, file.Name)
	_ = conn.Close(ctx)
	if err != nil {
		return nil, err
	}
	if run.Phase != control.Following && (run.Phase != control.Watching || !run.GoesBack()) {
		return nil, notIn(run.Phase, "verify is for a run that follows, or that keeps the old side current")
	}
	run = run.Now()
	sides, err := besideLeader(ctx, file, run)
	if err != nil {
		return nil, err
	}
	defer sides.Close()
	defer watchGuest(ctx, file, run, log)()
	if err := refuseStrangers(ctx, sides, run); err != nil {
		return nil, err
	}
	led, err := control.Led(ctx, sides.Record(), run, lease.LiveFor)
	if err != nil {
		return nil, err
	}
	r := &replay.Replayer{Sides: sides, Run: run, Log: log, Workers: run.Plan.Settings.Copy.Workers, Guest: led}
	if r.Replica, err = replica(ctx, sides, run); err != nil {
		return nil, err
	}
	var verdicts []TableVerdict
	for i := range run.Plan.Tables {
		t := &run.Plan.Tables[i]
		if !t.Verifiable() {
			continue
		}
		verdict, err := r.Verify(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("verify %s: %w", t.Final, err)
		}
		if !verdict.Equal {
			if err := differs(ctx, sides, run, t, verdict); err != nil {
				return nil, err
			}
		}
		verdicts = append(verdicts, TableVerdict{Name: t.Final.String(), Table: t, Verdict: verdict})
	}
	return verdicts, noteVerifiedAt(ctx, sides, run, verdicts)
}

// replica reports whether what is pending is replayed as what applies another
// server's changes: foreign keys that stand on its tables already must not act on it.
func replica(ctx context.Context, sides control.Sides, run *control.Run) (bool, error) {
	if !run.Plan.Backwards() {
		return shadow.Unchecked(ctx, sides, run)
	}
	if err := capture.Locate(ctx, sides.Production, sides.Shadow, run.Plan); err != nil {
		return false, closedUnless(err)
	}
	return shadow.Quiet(ctx, sides, run)
}

func noteVerifiedAt(ctx context.Context, sides control.Sides, run *control.Run, verdicts []TableVerdict) error {
	rows, err := control.Tables(ctx, sides.Shadow, run)
	if err != nil {
		return err
	}
	for i := range verdicts {
		for _, row := range rows {
			if row.N == verdicts[i].Table.N {
				verdicts[i].VerifiedAt = row.VerifiedAt
			}
		}
	}
	return nil
}

// besideLeader opens both sides beside a leader, if there is one, for who replays what is
// pending before it looks: this process's sessions count as the run's from then on.
func besideLeader(ctx context.Context, file *planfile.File, run *control.Run) (control.Sides, error) {
	sides, err := onlooker(ctx, file, run)
	if err != nil {
		return control.Sides{}, err
	}
	if err := control.Admit(ctx, sides.Shadow, run); err != nil {
		sides.Close()
		return control.Sides{}, err
	}
	return sides, nil
}

// onlooker opens both sides beside a leader, if there is one: it takes nothing over, and
// nothing lets it write.
func onlooker(ctx context.Context, file *planfile.File, run *control.Run) (control.Sides, error) {
	o := pg.Options{Component: "verify", Settings: run.Plan.Session}
	sessions := run.Plan.Settings.Copy.Workers + 2
	pool, err := pg.NewPool(ctx, file.Production.DSN, sessions, o)
	if err != nil {
		return control.Sides{}, err
	}
	sides := control.Local(pool)
	if run.Plan.Remote {
		if sides.Shadow, err = pg.NewPool(ctx, file.Shadow.DSN, sessions, o); err != nil {
			pool.Close()
			return control.Sides{}, fmt.Errorf("the shadow: %w", err)
		}
	}
	if run.Plan.Backwards() {
		sides = sides.Reversed()
	}
	return sides, nil
}
