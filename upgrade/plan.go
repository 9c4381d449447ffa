package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/planner"
	"github.com/pgumbra/pgumbra/plans/syntax/parser"
	"github.com/pgumbra/pgumbra/upgrade/lease"
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
	db, err := connect(ctx, file, "plan")
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	plan.AddFindings(bypasses(ctx, clients, db, log)...)
	return plan, nil
}

// measured is what the last run of this database took that became ready.
func measured(ctx context.Context, file *planfile.File) (*plans.Measured, error) {
	conn, err := connect(ctx, file, "plan")
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

// bypasses names clients that a cutover does not redirect. A pool that does not
// answer is a finding of its own, or refuses the cutover.
func bypasses(ctx context.Context, clients *traffic.Traffic, db pg.Querier, log *slog.Logger) []plans.Finding {
	sessions, err := clients.Bypassing(ctx, db)
	if err != nil {
		log.Warn("who reaches production past the pool is not known", "error", err)
	}
	return traffic.Bypasses(sessions)
}

// findOrCreate reads the live run of the plan file's name, or plans a new one
// and records it. A process that led a run already never begins another one:
// its run was ended by somebody else.
func findOrCreate(ctx context.Context, l *lease.Lease, file *planfile.File, o Options, led int64) (*control.Run, error) {
	run, err := control.Find(ctx, l.Conn, file.Name)
	if led != 0 && err == nil && run.ID == led && (run.Phase == control.Finished || run.Phase == control.RolledBack) {
		return nil, errStop // by a command, as it should
	}
	if led != 0 && (errors.Is(err, control.ErrNoRun) || err == nil && (run.ID != led || run.Phase.Over())) {
		return nil, fmt.Errorf("%w, or somebody ended it", control.ErrFencedOff)
	}
	if err == nil && !run.Phase.Over() {
		return run, errors.Join(Belongs(run, file), begin(ctx, o))
	}
	if err == nil && o.Back {
		return nil, errStop // it was rolled back, or ended, a moment ago
	}
	if err == nil && run.Phase == control.RolledBack {
		if err := dropAbandoned(ctx, l, run, file, o); err != nil {
			return nil, err
		}
	}
	if err != nil && !errors.Is(err, control.ErrNoRun) {
		return nil, err
	}
	plan, err := planAlone(ctx, file, o)
	if err != nil {
		return nil, err
	}
	if plan.NothingToDo {
		return nil, ErrNothingToDo
	}
	if !plan.Runnable {
		return nil, &Blocked{Plan: plan}
	}
	if err := begin(ctx, o); err != nil {
		return nil, err
	}
	if err := l.Conn.Ping(ctx); err != nil { // an abort ended it while we planned
		return nil, err
	}
	if err := control.Migrate(ctx, file.Production.DSN); err != nil {
		return nil, err
	}
	if run, err = control.CreateIn(ctx, l.Conn, plan, groupOf(o)); err != nil {
		return nil, errors.Join(err, tidy(ctx, file))
	}
	return run, nil
}

// planning is one at a time in a process, whose parser is one.
var planning sync.Mutex

func planAlone(ctx context.Context, file *planfile.File, o Options) (*plans.Plan, error) {
	planning.Lock()
	defer planning.Unlock()
	plan, err := Plan(ctx, file, o.Log)
	return plan, errors.Join(err, parser.Close()) // the parser's 250 MB are not for days
}

// tidy takes a control schema away again in which no run could be recorded.
func tidy(ctx context.Context, file *planfile.File) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	conn, err := connect(ctx, file, "control")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return control.Purge(ctx, conn, nil)
}
