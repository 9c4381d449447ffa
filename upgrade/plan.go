package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/planner"
)

// Plan makes the plan, with what it takes to lead the clients to another
// database: the dry run shows it, a run stores it. Errors are those of
// [planner.Make].
func Plan(ctx context.Context, file *planfile.File, log *slog.Logger) (*plans.Plan, error) {
	plan, err := planner.Make(ctx, file, log)
	if err != nil {
		return nil, err
	}
	if err := describe(ctx, file.Production.DSN, plan); err != nil {
		return nil, err
	}
	if plan.Estimates.Measured, err = measured(ctx, file); err != nil {
		log.Debug("what earlier runs took is not known", "error", err)
	}
	plan.Estimates.EstimateStall(plan.Remote)
	if !plan.Remote {
		return plan, nil
	}
	clients, err := traffic.Open(file, log)
	if err != nil {
		return nil, fmt.Errorf("traffic: %w", err)
	}
	if err := planner.Lead(ctx, plan, clients); err != nil {
		return nil, err
	}
	db, err := pg.Connect(ctx, file.Production.DSN, pg.Options{Component: "plan"})
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	plan.AddFindings(bypasses(ctx, clients, db, log)...)
	return plan, nil
}

// measured is what the last run of this database took that became ready.
func measured(ctx context.Context, file *planfile.File) (*plans.Measured, error) {
	conn, err := pg.Connect(ctx, file.Production.DSN, pg.Options{Component: "plan"})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	past, err := control.History(ctx, conn)
	for _, p := range past {
		if p.ReadyAt == nil || p.Rows == 0 {
			continue
		}
		m := &plans.Measured{Run: p.Name, Rows: p.Rows, ReadySeconds: p.ReadyAt.Sub(p.CreatedAt).Seconds(), Locks: p.Locks}
		var out Outcome
		if len(p.Cutover) > 0 && json.Unmarshal(p.Cutover, &out) == nil {
			m.StallMS = out.StallMS
		}
		return m, nil
	}
	return nil, err
}

// bypasses names clients that a cutover does not lead over. A pool that does not
// answer is a finding of its own, or refuses the cutover.
func bypasses(ctx context.Context, clients *traffic.Traffic, db pg.Querier, log *slog.Logger) []plans.Finding {
	sessions, err := clients.Bypassing(ctx, db)
	if err != nil {
		log.Warn("who reaches production past the pool is not known", "error", err)
	}
	return traffic.Bypasses(sessions)
}
