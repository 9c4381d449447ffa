package cutover

import (
	"context"
	"slices"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// swap is the whole swap on the shadow but for its record and its COMMIT.
func (a *remote) swap(ctx context.Context) error {
	alone, err := a.reopenAlone(ctx, a.shadow.locker)
	if err != nil {
		return err
	}
	if err := a.play(ctx, a.shadow, append(a.script(), stage{"sequences", alone})); err != nil {
		return err
	}
	return a.catchUp(ctx, a.shadow)
}

// swapped is the script. Migrations behind the fence write golang-migrate's row themselves.
func (a *remote) swapped() []stage {
	all := a.script()
	if a.plan.Behind != nil {
		all = append(all, stage{"version", versionsBehind(a.plan)})
	}
	return all
}

func (a *remote) script() []stage {
	var locks []string
	if len(a.facts.shadow) > 0 {
		locks = append(locks, "LOCK TABLE "+only(a.facts.shadow)+" IN EXCLUSIVE MODE")
	}
	script := []stage{{"locks", locks}, {"sequences", append(a.c.ownSequences(), a.proceed()...)}}
	if a.plan.Backwards() {
		return append(script, stage{"old side", append(a.facts.taken.restore(a.facts.shadow), opened(oldFenceName(a.c.Upgrade)))},
			stage{"capture", a.c.reverseCheck()})
	}
	return slices.Concat(script, a.c.activationScript(a.activation))
}

// activationScript makes the shadow what production is to clients, in a database of
// its own.
func (c *Cutover) activationScript(activation []string) []stage {
	var structure, defaults []plans.Entry
	for _, e := range c.Parts.SwapEntries() {
		if e.Defaults() {
			defaults = append(defaults, e)
		} else {
			structure = append(structure, e)
		}
	}
	return []stage{
		{"staging tables", freed(c.Upgrade)},
		{"structure", entryStatements(structure)},
		{reverseStage, c.reverseCheck()},
		{"gate", []string{opened(writeBlockName(c.Upgrade))}},
		{"version", versionThere(c.Upgrade.Plan)},
		{"names", activation},
		{"default privileges", entryStatements(defaults)},
	}
}

// reverseStage asks for the capture of the way back.
const reverseStage = "reverse capture"

// beforeCapture is a script as a trial can send it, while that capture is not made yet.
func beforeCapture(script []stage) []stage {
	return slices.DeleteFunc(script, func(s stage) bool { return s.name == reverseStage })
}

// proceed puts the shadow's sequences in their places. Nothing is reserved for
// who waits in production: what it draws there is refused.
func (a *remote) proceed() []string {
	var all []string
	for _, s := range a.sequences {
		all = append(all, s.proceed(s.plan.Shadow.Quoted())...)
	}
	return all
}

// record notes the swap in the shadow's own record: by that row, and by
// its transaction's number, everybody learns later whether it happened.
func (a *remote) record(ctx context.Context) error {
	run, there := a.c.Upgrade, a.shadow.locker
	var err error
	if a.decides, a.out.At, err = control.NoteSwapThere(ctx, there, run); err != nil {
		return err
	}
	if a.turned != nil {
		var t taken
		if t, err = a.noteTaken(ctx); err == nil {
			err = control.TurnAround(ctx, there, run, a.turned, t)
		}
		if err == nil {
			err = control.NoteOrigin(ctx, there, run)
		}
		if err != nil {
			return err
		}
	}
	if err := control.NoteOutcome(ctx, there, run, a.report(time.Since(a.began))); err != nil {
		return err
	}
	a.progress.Decision, a.progress.Backend = a.decides, a.shadow.pid
	return nil
}
