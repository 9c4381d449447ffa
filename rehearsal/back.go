package rehearsal

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/rehearsal/workload"
	"github.com/pgumbra/pgumbra/upgrade"
)

// Rollback is how the way back went.
type Rollback struct {
	StallMS float64 `json:"stall_ms"`
	Drained int64   `json:"drained"`
	// Committed is how many transactions clients committed in the new structure,
	// between the cutover and the way back.
	Committed int64 `json:"committed_meanwhile"`
	// Refused is why pgumbra rollback was not possible without --accept-loss; empty: it was.
	Refused string `json:"refused,omitempty"`
	// Losses are what went lost with it.
	Losses []Loss `json:"losses,omitempty"`
}

// Loss is what a way back does not take along.
type Loss struct {
	Object   string `json:"object,omitempty"` // a table; empty: what the whole rollback was refused for
	Why      string `json:"why"`
	Accepted bool   `json:"accepted"` // by the baseline
	// Written: of rows that the rehearsal's clients wrote in the new structure. An
	// application may never write such; whether it does status tells in time.
	Written bool `json:"written"`
}

func (l Loss) String() string {
	if l.Object == "" {
		return l.Why
	}
	return l.Object + ": " + l.Why
}

// thereAndBack goes through the cutover, lets clients commit in the new structure,
// goes back with what they wrote, lets them work on in the old one, and goes through
// the cutover again, whose result is compared.
func (r *rehearsal) thereAndBack(ctx context.Context) error {
	if err := r.there(ctx); err != nil || !r.o.Gates.RequireRollback {
		return err
	}
	before := r.clients.Count().Committed
	r.clients.CommitAfterSwap(workload.Commit)
	if err := wait(ctx, after); err != nil {
		return err
	}
	r.o.Log.Info("rehearsing", "step", "go back")
	refused, err := r.goBack(ctx)
	if err != nil {
		return err
	}
	r.result.Rollback = &Rollback{Committed: r.clients.Count().Committed - before, Refused: refused}
	r.clients.CommitAfterSwap(workload.Withhold)
	if err := r.readRollback(ctx); err != nil {
		return err
	}
	if err := wait(ctx, after); err != nil {
		return err
	}
	return r.there(ctx)
}

// goBack does what an operator does: pgumbra rollback, and where that is refused for what
// would be lost, once more with --accept-loss, so that the rest of the rehearsal is seen.
// refused is why; empty: it went without.
func (r *rehearsal) goBack(ctx context.Context) (refused string, err error) {
	err = upgrade.Rollback(ctx, r.file, upgrade.Options{Log: r.o.Log})
	var now *upgrade.NotNow
	var never *upgrade.NoWayBack
	if loss := errors.As(err, &now) && now.AcceptLoss || errors.As(err, &never); loss {
		refused = oneCause(err)
		r.o.Log.Info("rehearsing", "step", "go back, accepting what is lost")
		err = upgrade.Rollback(ctx, r.file, upgrade.Options{As: control.RollbackAs{AcceptLoss: true}, Log: r.o.Log})
	}
	if err != nil {
		return "", backError{err}
	}
	return refused, nil
}

// readRollback reads how the rollback went, and what it left behind.
func (r *rehearsal) readRollback(ctx context.Context) error {
	s, err := upgrade.ReadStatus(ctx, r.file)
	if err != nil {
		return err
	}
	var recorded struct {
		StallMS  float64  `json:"stall_ms"`
		Drained  int64    `json:"drained"`
		Accepted []string `json:"accepted"`
	}
	if len(s.Rollback) > 0 {
		if err := json.Unmarshal(s.Rollback, &recorded); err != nil {
			return err
		}
	}
	back := r.result.Rollback
	back.StallMS, back.Drained = recorded.StallMS, recorded.Drained
	if back.Refused == "" {
		return nil
	}
	for _, lost := range r.plan.Lost() {
		back.Losses = append(back.Losses, Loss{Object: lost.String(), Why: "what was written to it since the cutover does not come back"})
	}
	for _, table := range recorded.Accepted {
		back.Losses = append(back.Losses, Loss{Object: table, Why: "rows that migrations behind the fence wrote keep the values of before"})
	}
	told := map[string]bool{} // one row stands for those of its table
	for _, row := range s.Refused {
		if told[row.Table] {
			continue
		}
		told[row.Table] = true
		back.Losses = append(back.Losses, Loss{Object: row.Table, Why: "the old side cannot hold rows as they are: " + row.String(), Written: true})
	}
	if len(back.Losses) == 0 {
		back.Losses = []Loss{{Why: back.Refused}}
	}
	return nil
}

// backError says that the way back could not be gone.
type backError struct{ error }

func (e backError) Unwrap() error { return e.error }

func failedBack(err error) (string, bool) {
	var e backError
	if errors.As(err, &e) {
		return oneCause(e.error), true
	}
	return "", false
}
