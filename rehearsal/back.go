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
	if err := upgrade.Rollback(ctx, r.file, upgrade.Options{As: control.RollbackAs{AcceptLoss: true}, Log: r.o.Log}); err != nil {
		return backError{err}
	}
	r.result.Rollback = &Rollback{Committed: r.clients.Count().Committed - before}
	r.clients.CommitAfterSwap(workload.Withhold)
	s, err := upgrade.ReadStatus(ctx, r.file)
	if err != nil {
		return err
	}
	if len(s.Rollback) > 0 {
		committed := r.result.Rollback.Committed
		if err := json.Unmarshal(s.Rollback, r.result.Rollback); err != nil {
			return err
		}
		r.result.Rollback.Committed = committed
	}
	if err := wait(ctx, after); err != nil {
		return err
	}
	return r.there(ctx)
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
