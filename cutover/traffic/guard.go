package traffic

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// Action is what is done to clients.
type Action string

// The deeds.
const (
	Pause  Action = "hold" // let them wait
	Switch Action = "lead" // lead them to another place
	Resume Action = "free" // let them go on
)

// Guard lets may be asked right before each console command that changes
// anything, before a file is rewritten and after it, and before a command of the
// user's: another process may lead the run by now, of which PgBouncer knows
// nothing. An error of it, but the context's own, ends the step, is in the error
// that comes back, and leaves all else to whoever leads.
func (t *Traffic) Guard(may func(context.Context, Action) error) { t.guard = may }

func (t *Traffic) may(ctx context.Context, d Action) error {
	if t.guard == nil {
		return nil
	}
	err := t.guard(ctx, d)
	if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	return &refusal{d, err}
}

// refusal is the guard's: nothing more may be done.
type refusal struct {
	deed  Action
	cause error
}

func (r *refusal) Error() string { return fmt.Sprintf("%s clients: %s", r.deed, r.cause) }
func (r *refusal) Unwrap() error { return r.cause }

func refused(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}

// Misrouted reports whether any PgBouncer leads clients to a place where they do not
// belong, or would after its next RELOAD. Of a command of the user's nobody knows.
func (t *Traffic) Misrouted(ctx context.Context, wrong Place) (bool, error) {
	var misrouted atomic.Bool
	errs := t.each(ctx, func(m member, ctx context.Context) error {
		side, err := m.side(ctx)
		if side.Leads == wrong || side.File == wrong {
			misrouted.Store(true)
		}
		return err
	})
	if misrouted.Load() {
		return true, nil
	}
	return false, errors.Join(errs...)
}
