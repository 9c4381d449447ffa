package replay

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// Prover proves tables equal to production beside batches, for as long as they are
// replayed: all keys once, range after range, and touched keys again. It records in
// the control schema how far it came, and goes on from there after a restart.
//
// Each range is a snapshot of one or two seconds. Tables take turns, so that a small
// one waits for no large one. While production is written to, one range is compared
// at a time. Locks: ACCESS SHARE on production, for as long as a range takes.
type Prover struct {
	r      *Replayer
	within time.Duration // how old a proof may be

	mu      sync.Mutex
	tables  map[int]*proving
	leftOut map[int]bool
	read    time.Time
	ranging int // workers that compare a range now
	paused  int
	resume  chan struct{} // closed when the prover goes on
	cancels map[int]context.CancelFunc
	last    int
	idle    *sync.Cond // nothing is under way
	signal  chan struct{}
	// afterRange lets tests hold the prover once it has compared a range.
	afterRange func(ctx context.Context)
}

// proving is what the prover knows of one table.
type proving struct {
	t      *plans.Table
	f      *applier
	proof  control.Proof
	walk   *walk
	keys   int64     // of a range, as the last walk had come to; 0: there was none
	busy   int       // workers that have it
	moving bool      // one of them proves touched keys
	since  time.Time // that it is compared as a whole; zero: it is not
	served [kindsOfWork]int64
	not    time.Time // before then
}

// kindOfWork: what waited longest is looked for of each kind by itself. A table
// that is touched all the time must not lose its turn with ranges for it.
type kindOfWork int

const (
	ranges kindOfWork = iota
	whole
	touches
	kindsOfWork = 3
)

// Times of the prover.
const (
	provesEvery = 500 * time.Millisecond // that it looks where tables stand
	provesPause = 50 * time.Millisecond  // when nothing is to be done
	// After this time touched keys are proved again, if batches do not do so.
	touchedAfter = time.Second
	// How long a table is left alone for which replay was behind.
	behindFor = 300 * time.Millisecond
)

// NewProver makes one; within is cutover.verify_within.
func NewProver(r *Replayer, within time.Duration) *Prover {
	p := &Prover{r: r, within: within, tables: map[int]*proving{}, cancels: map[int]context.CancelFunc{}, signal: make(chan struct{}, 1)}
	p.idle = sync.NewCond(&p.mu)
	return p
}

// Signal tells when a table was proved, or found to differ: see [Replayer.Found].
func (p *Prover) Signal() <-chan struct{} { return p.signal }

func (p *Prover) tell() {
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

// LeaveOut says which tables cannot be proved for now.
func (p *Prover) LeaveOut(numbers map[int]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leftOut = numbers
}

// work is what one worker of the prover looks for.
type work func(*Prover) (*proving, func(context.Context) error)

// Run proves until ctx ends. Errors as of [Replayer.Batch].
func (p *Prover) Run(ctx context.Context, workers int) error {
	g, ctx := errgroup.WithContext(ctx)
	loop := func(w work) {
		g.Go(func() error { return p.loop(ctx, w) })
	}
	for range max(workers, 1) {
		loop((*Prover).nextRange)
	}
	loop((*Prover).nextWhole)
	for range max(workers/2, 1) {
		loop((*Prover).nextTouched)
	}
	return g.Wait()
}

func (p *Prover) loop(ctx context.Context, next work) error {
	for ctx.Err() == nil {
		worked, err := p.once(ctx, next)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if !worked && !pause(ctx, provesPause) {
			return nil
		}
	}
	return nil
}

// once does one piece of work. What [Prover.Pause] interrupts is done again later.
func (p *Prover) once(ctx context.Context, next work) (worked bool, err error) {
	ctx, end, err := p.enter(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	t, do, err := p.choose(ctx, next)
	if err != nil || t == nil {
		return false, unlessCanceled(ctx, err)
	}
	err = do(ctx)
	p.leave(t, err)
	return true, unlessCanceled(ctx, unlessLater(err))
}

func unlessCanceled(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// choose picks the work that waited longest.
func (p *Prover) choose(ctx context.Context, next work) (*proving, func(context.Context) error, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.read) > provesEvery {
		if err := p.look(ctx); err != nil {
			return nil, nil, err
		}
	}
	t, do := next(p)
	if t != nil {
		t.busy++
	}
	return t, do, nil
}

// leave notes how a piece of work ended.
func (p *Prover) leave(t *proving, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.busy--
	if err != nil {
		t.not = time.Now().Add(behindFor)
		p.r.Log.Debug("not proved now", "table", t.t.Final.String(), "error", err.Error())
	}
	if err != nil && !isLater(err) && t.walk != nil { // what was compared may not be recorded
		t.keys, t.walk = t.walk.keys(), nil
	}
	if err != nil || t.walk != nil && !t.walk.more() || t.walk == nil {
		p.read = time.Time{} // where it stands is to be read again
		p.tell()
	}
}

// look reads where tables stand.
func (p *Prover) look(ctx context.Context) error {
	proofs, err := control.Proofs(ctx, p.r.Sides.Shadow, p.r.Run)
	if err != nil {
		return err
	}
	for _, proof := range proofs {
		t := p.tables[proof.N]
		if t == nil {
			t = &proving{t: &p.r.Run.Plan.Tables[proof.N]}
			p.tables[proof.N] = t
		}
		if t.walk != nil && (!proof.Begun || proof.Pass != t.walk.pass || proof.Complete && !proof.Renewing) {
			t.walk.stop()
			t.walk = nil
		}
		t.proof = proof
		if t.f == nil && t.t.Verifiable() && proof.State == control.FollowingState {
			if t.f, err = p.r.applier(ctx, t.t); err != nil {
				return err
			}
		}
	}
	p.read = time.Now()
	return nil
}

// pick finds the table that waited longest for work of a kind of those that fit.
func (p *Prover) pick(kind kindOfWork, fits func(*proving) bool) *proving {
	var best *proving
	for _, t := range p.tables {
		if t.f == nil || p.leftOut[t.t.N] || t.proof.State != control.FollowingState || time.Now().Before(t.not) || !fits(t) {
			continue
		}
		if best == nil || t.served[kind] < best.served[kind] || t.served[kind] == best.served[kind] && t.t.N < best.t.N {
			best = t
		}
	}
	if best != nil {
		best.served[kind] = time.Now().UnixNano()
	}
	return best
}

// nextRange is the next range of keys of a table that can be divided into such.
func (p *Prover) nextRange() (*proving, func(context.Context) error) {
	if p.ranging > 0 && !p.r.quiet() {
		return nil, nil
	}
	t := p.pick(ranges, func(t *proving) bool {
		return t.f.ranged() && (t.proof.Begun && t.walk != nil && t.walk.more() || t.busy == 0 && t.unproved())
	})
	if t == nil {
		return nil, nil
	}
	p.ranging++
	do := p.carryOn(t)
	return t, func(ctx context.Context) error {
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.ranging--
		}()
		return do(ctx)
	}
}

// nextWhole is the next table that is compared as a whole.
func (p *Prover) nextWhole() (*proving, func(context.Context) error) {
	t := p.pick(whole, func(t *proving) bool { return !t.f.ranged() && t.busy == 0 && (t.unproved() || p.due(t)) })
	if t == nil {
		return nil, nil
	}
	t.since = time.Now()
	do := p.carryOn(t)
	return t, func(ctx context.Context) error {
		defer p.compared(t)
		return do(ctx)
	}
}

func (p *Prover) compared(t *proving) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.since = time.Time{}
}

// Comparing names a table that has been compared as a whole for so long that a pause
// would end it: all of it would have to be done again. It takes at most a fifth of
// the time, so that there is always a moment at which none is.
func (p *Prover) Comparing() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tables {
		if !t.since.IsZero() && time.Since(t.since) > patience {
			return t.t.Final.String()
		}
	}
	return ""
}

// unproved reports whether keys are left to compare, with nobody at it.
func (t *proving) unproved() bool {
	return t.walk == nil && (!t.proof.Begun || !t.proof.Complete || t.proof.Renewing)
}

// due reports whether a table without a key is to be compared again: it was touched
// since, and its proof grows old. At least four times as long as it takes it is let
// be, however old its proof may grow.
func (p *Prover) due(t *proving) bool {
	return t.f.kind() == keyless && t.walk == nil && t.proof.Complete && !t.proof.Current && t.proof.Ago > max(p.within/2, 4*t.proof.Took)
}

// nextTouched is the next table of which touched keys are to be proved again.
func (p *Prover) nextTouched() (*proving, func(context.Context) error) {
	t := p.pick(touches, func(t *proving) bool {
		return !t.moving && t.f.kind() != keyless && t.proof.Begun && !t.proof.Current && !t.proof.Renewing && t.proof.Ago > touchedAfter
	})
	if t == nil {
		return nil, nil
	}
	t.moving = true
	return t, func(ctx context.Context) error {
		defer p.moved(t)
		return p.r.proveTouched(ctx, t.f)
	}
}

// moved has a table looked at again before touched keys of it are proved.
func (p *Prover) moved(t *proving) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.moving, t.proof.Current = false, true
}

// carryOn begins a table's proof or compares its next range.
func (p *Prover) carryOn(t *proving) func(context.Context) error {
	switch {
	case t.walk != nil:
		w := t.walk
		return func(ctx context.Context) error {
			_, err := p.r.proveRange(ctx, w)
			if p.afterRange != nil {
				p.afterRange(ctx)
			}
			return err
		}
	case t.proof.Begun && (!t.proof.Complete || t.proof.Renewing):
		t.walk = p.r.carriedOn(t.f, t.proof)
		if t.keys > 0 {
			t.walk.size = t.keys
		}
		return p.carryOn(t)
	case t.proof.Begun: // once more: until it is complete, what was proved before counts
		pass := t.proof.Pass
		return func(ctx context.Context) error { return p.r.again(ctx, t.f, pass) }
	}
	return func(ctx context.Context) error {
		pass, err := p.r.beginProof(ctx, t.f)
		if err != nil {
			return err
		}
		w := p.r.carriedOn(t.f, control.Proof{Pass: pass})
		p.mu.Lock()
		t.walk, t.proof.Begun, t.proof.Complete, t.proof.Pass = w, true, false, pass
		p.mu.Unlock()
		_, err = p.r.proveRange(ctx, w)
		return err
	}
}
