package upgrade

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/plans"
)

// Plan makes the plan, with what it takes to lead the clients to another
// database: the dry run shows it, a run stores it. Errors are those of
// [plans.Make].
func Plan(ctx context.Context, file *plans.File, log *slog.Logger) (*plans.Plan, error) {
	plan, err := plans.Make(ctx, file, log)
	if err != nil || !plan.Elsewhere {
		return plan, err
	}
	clients, err := traffic.Open(file, log)
	if err != nil {
		return nil, fmt.Errorf("traffic: %w", err)
	}
	return plan, plan.Lead(ctx, clients)
}
