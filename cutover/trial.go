package cutover

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// Stall is how long clients would have waited for what was tried.
func (t *Trial) Stall() time.Duration {
	return time.Duration((t.SwapMS + t.TotalMS) * float64(time.Millisecond))
}

// PartTime is how long a part of the swap took.
type PartTime struct {
	Part string  `json:"part"`
	MS   float64 `json:"ms"`
}

// trySwap runs the swap's statements on the shadow, as it is followed, and rolls
// them back. Nobody sees it: production's tables are not locked, and names are
// looked up in committed catalogs. What the swap does to production's own tables is
// done to as many of the shadow's instead. The caller replays nothing meanwhile.
func (c *Cutover) trySwap(ctx context.Context) (Trial, error) {
	if c.Sides.Remote() {
		return c.trySwapRemote(ctx)
	}
	t := &trying{c: c}
	p, err := openPair(ctx, c.DSN)
	if err != nil {
		return t.Trial, err
	}
	defer p.close(ctx)
	p.yieldOnDeadlock(ctx, c.settings().LockTimeout, c.Log)
	t.pair = p
	f, err := gather(ctx, p.observer, c.Upgrade.Plan)
	if err == nil {
		err = t.swap(ctx, &attempt{pair: p, shadow: p, c: c, plan: c.Upgrade.Plan, facts: f, mark: anyTransaction})
	}
	return t.Trial, err
}

// trying is a trial under way.
type trying struct {
	Trial
	c    *Cutover
	pair *pair // where the shadow is
}

// timed runs a part of the swap, and counts it so many times.
func (t *trying) timed(ctx context.Context, s stage, times float64) error {
	if len(s.sql) == 0 {
		return nil
	}
	began := time.Now()
	if err := pg.ExecScript(ctx, t.pair.locker, strings.Join(s.sql, ";\n")); err != nil {
		return fmt.Errorf("try the swap, %s: %w", s.name, err)
	}
	t.took(s.name, began, times)
	return nil
}

func (t *trying) took(part string, began time.Time, times float64) {
	ms := float64(time.Since(began).Microseconds()) / 1000 * times
	t.Swap = append(t.Swap, PartTime{Part: part, MS: ms})
	t.SwapMS += ms
}

func (t *trying) all(ctx context.Context, stages []stage) error {
	for _, s := range stages {
		if err := t.timed(ctx, s, 1); err != nil {
			return err
		}
	}
	return nil
}

// beginTrial begins a transaction that is rolled back, in which no lock is waited for
// longer than lockWait. Who waits for it is autovacuum of the shadow, and whoever changes a
// schema's privileges: a process that is stopped in it holds them up no longer than it
// would hold clients in an attempt.
func (c *Cutover) beginTrial(ctx context.Context, p *pair, lockWait time.Duration) error {
	if err := p.begin(ctx, lockWait, c.settings().MaxStall+time.Second, nil); err != nil {
		return err
	}
	return pg.ExecScript(ctx, p.locker, fmt.Sprintf("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = %d", lockWait.Milliseconds()))
}

func (t *trying) begin(ctx context.Context, p *pair) error {
	return t.c.beginTrial(ctx, p, t.c.settings().LockTimeout)
}

// swap times the swap's own script, a stage after the other. What a stage does to
// production's tables is done to the shadow's, or left out where no table of the shadow's
// can stand for it.
func (t *trying) swap(ctx context.Context, a *attempt) error {
	if err := t.begin(ctx, t.pair); err != nil {
		return err
	}
	for _, s := range (local{a}).script() {
		do, known := tried[s.name]
		if !known {
			return fmt.Errorf("%w: %q, in a trial of the swap", errUnknownStage, s.name)
		}
		if do == nil {
			continue
		}
		if err := do(t, ctx, a, s); err != nil {
			return err
		}
	}
	return t.look(ctx, t.c.checkConditions, t.pair, t.c.Parts.Changed)
}

// tried is how each stage of a swap in one database is tried; nil: it is left out.
var tried = map[string]func(*trying, context.Context, *attempt, stage) error{
	"sequences": (*trying).sequences,
	"structure": func(t *trying, ctx context.Context, _ *attempt, s stage) error {
		return t.timed(ctx, stage{s.name, entryStatements(t.c.trialEntries())}, 1)
	},
	reverseStage: nil, // that capture is not made yet
	"gate":       func(t *trying, ctx context.Context, _ *attempt, s stage) error { return t.timed(ctx, s, 1) },
	"guard":      nil, // with the old side, under one savepoint
	"old side":   func(t *trying, ctx context.Context, a *attempt, _ stage) error { return t.standIns(ctx, a.facts) },
	"version":    nil, // golang-migrate would wait for the row
	"names":      func(t *trying, ctx context.Context, a *attempt, _ stage) error { return t.names(ctx, a.facts) },
}

func (t *trying) sequences(ctx context.Context, _ *attempt, s stage) error {
	all, err := t.c.trialSequences(ctx, t.pair.observer, t.pair.observer)
	if err != nil {
		return err
	}
	return t.timed(ctx, stage{s.name, all}, 1)
}

// standIns times the guards, and what is done to the old side on the shadow's
// tables, and undoes it.
func (t *trying) standIns(ctx context.Context, f *facts) error {
	if len(f.shadow) == 0 {
		return nil
	}
	many := float64(len(f.production)) / float64(len(f.shadow))
	in := standIns(t.c.Upgrade, f)
	if err := pg.ExecScript(ctx, t.pair.locker, strings.Join(in.prepare, ";\n")); err != nil {
		return fmt.Errorf("prepare the trial of the swap: %w", err)
	}
	for _, s := range []struct {
		stage
		times float64
	}{{stage{"locks", in.locks}, many}, {stage{"guard", in.guard}, 1}, {stage{"silence", in.silence}, 1}, {stage{"old side", in.old}, many}} {
		if err := t.timed(ctx, s.stage, s.times); err != nil {
			return err
		}
	}
	return pg.ExecScript(ctx, t.pair.locker, "ROLLBACK TO SAVEPOINT pgumbra_trial")
}

// substitutes are texts of a trial: of the fence's functions, of locks and guards, and of
// what is done to the old side, on the shadow's tables in place of production's.
type substitutes struct{ prepare, locks, guard, silence, old []string }

// anyTransaction is a mark that every snapshot sees.
const anyTransaction = "3"

func standIns(run *control.Run, f *facts) substitutes {
	as := facts{production: f.shadow}
	for _, r := range f.shadow {
		as.captured = append(as.captured, capturedBy{table: r.name, triggers: []string{guardTrigger}})
	}
	var silence []string
	for i := range f.taken.Triggers { // a guard for each of the user's triggers that are silenced
		r := f.shadow[i%len(f.shadow)]
		silence = append(silence, taken{Triggers: []loudTrigger{{Table: r.oid, Name: guardTrigger}}}.silence([]relation{r})...)
	}
	return substitutes{
		prepare: []string{"SAVEPOINT pgumbra_trial", guardFunction(run), readFunction(run), fenceFunction(run, control.Ours(run))},
		locks:   []string{"LOCK TABLE " + only(f.shadow) + " IN EXCLUSIVE MODE"},
		guard:   guards(run, f.shadow, anyTransaction),
		silence: silence,
		old:     oldSide(run, &as),
	}
}

// names swaps them. Where objects are moved one by one, production's would be
// locked against readers: the shadow's are moved instead, to an empty schema.
func (t *trying) names(ctx context.Context, f *facts) error {
	plan := trialPlan(t.c.Upgrade.Plan)
	if !f.objectByObject() {
		return t.timed(ctx, stage{"names", names(plan, f.moves)}, 1)
	}
	for _, m := range f.moves {
		if m.method != objectByObject {
			if err := t.timed(ctx, stage{"names", m.statements()}, 1); err != nil {
				return err
			}
			continue
		}
		objects, err := catalog.Movables(ctx, t.pair.observer, m.schema.Shadow)
		if err != nil {
			return err
		}
		script := []string{"CREATE SCHEMA " + pg.Ident(m.schema.Old)}
		for _, o := range objects {
			script = append(script, o.SetSchema(m.schema.Old))
		}
		if err := t.timed(ctx, stage{"names", script}, float64(len(m.leave)+len(m.enter))/float64(max(len(objects), 1))); err != nil {
			return err
		}
	}
	return nil
}

// look times the look at what the swap rests on, whatever it finds: that is told
// elsewhere.
func (t *trying) look(ctx context.Context, conditions func(context.Context, pg.Querier) ([]Blocker, error), p *pair,
	different func(context.Context, pg.Querier) ([]string, error)) error {
	var found *notNow
	if err := p.lookOnce(ctx, conditions, different); err != nil && !errors.As(err, &found) { // an attempt has looked before, too
		return err
	}
	began := time.Now()
	err := p.lookOnce(ctx, conditions, different)
	if errors.As(err, &found) {
		err = nil
	}
	t.took("look again", began, 1)
	return err
}

// trySwapRemote is trySwap of a swap to another database: all of it happens
// there, but for the fence's triggers in production.
func (c *Cutover) trySwapRemote(ctx context.Context) (Trial, error) {
	t := &trying{c: c}
	production, err := openPair(ctx, c.DSN)
	if err != nil {
		return t.Trial, err
	}
	defer production.close(ctx)
	a := &remote{attempt: &attempt{pair: production, c: c, plan: c.Upgrade.Plan, out: new(Outcome)}}
	if a.shadow, err = openPair(ctx, c.ShadowDSN); err != nil {
		return t.Trial, fmt.Errorf("the shadow: %w", err)
	}
	defer a.shadow.close(ctx)
	a.shadow.yieldOnDeadlock(ctx, c.settings().LockTimeout, c.Log)
	if err := a.look(ctx); err != nil {
		return t.Trial, err
	}
	if a.sequences, err = successions(ctx, a.plan, a.observer, a.shadow.observer); err != nil {
		return t.Trial, err
	}
	err = t.swapThere(ctx, a)
	return t.Trial, err
}

func (t *trying) swapThere(ctx context.Context, a *remote) error {
	t.pair = a.shadow
	if err := t.begin(ctx, a.shadow); err != nil {
		return err
	}
	run := t.c.Upgrade
	if err := t.all(ctx, beforeCapture(a.script())); err != nil {
		return err
	}
	if err := pg.ExecScript(ctx, a.shadow.locker, "ROLLBACK"); err != nil {
		return err
	}
	if err := t.begin(ctx, a.shadow); err != nil {
		return err
	}
	if len(a.facts.shadow) > 0 {
		fence := []string{"LOCK TABLE " + only(a.facts.shadow) + " IN EXCLUSIVE MODE", opened(fenceName(run))}
		if err := t.timed(ctx, stage{"fence", append(fence, remoteFence(run, a.facts.shadow)...)}, float64(len(a.facts.production))/float64(len(a.facts.shadow))); err != nil {
			return err
		}
	}
	if err := t.look(ctx, t.c.checkConditions, a.pair, t.c.Parts.SchemasChanged); err != nil {
		return err
	}
	return t.look(ctx, t.c.checkShadowConditions, a.shadow, nil)
}
