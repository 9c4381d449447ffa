package capture

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// untoldRun stands in texts for the number that a run gets when it begins.
const untoldRun = 911_911_911_911

// told is a text with <run> for that number.
func told(text string) string {
	return strings.TrimSpace(strings.ReplaceAll(text, fmt.Sprint(untoldRun), "<run>"))
}

// Describe tells what [Install] will do with a plan's sources, by the very texts
// that it sends, and what takes that away again. It looks at production, and changes
// nothing. Returns [ErrChanged] where production is not what the plan was made of any
// more.
func Describe(ctx context.Context, db pg.Querier, plan *plans.Plan) (install []plans.Step, remove []string, err error) {
	run := &control.Run{ID: untoldRun, Name: plan.Run, Plan: plan}
	base := []string{told(fingerprintScript(run.ID)), told(limitScript(run, ToShadow))}
	var journals, triggers, freezes []string
	remove = closingTold(run.ID, ToShadow)
	for i := range plan.Sources {
		t, err := sourceTarget(ctx, db, run, &plan.Sources[i])
		if err != nil {
			return nil, nil, fmt.Errorf("tell how %s is captured: %w", plan.Sources[i].Name, err)
		}
		script, err := t.preparingScript()
		if err != nil {
			return nil, nil, err
		}
		remove = append(remove, t.removalTold(afterSwap(plan))...)
		if t.frozen {
			freezes = append(append(freezes, told(script)), t.armingTold()...)
			continue
		}
		journals, triggers = append(journals, told(script)), append(triggers, t.armingTold()...)
	}
	structure, err := describeFreeze(ctx, db, run)
	if err != nil {
		return nil, nil, err
	}
	remove = append(remove, told(dropEventTriggers(run.ID)+dropFreezeFunction(run.ID)), told(baseDropScript(run.ID)))
	pause := fmt.Sprintf("we wait for transactions that wrote the table, and writers wait for us: %s an attempt, one total for all locks of a table, repeated for up to %.0f minutes",
		installBudget(run), installPatience.Minutes())
	all := []plans.Step{
		{Title: "Make what the triggers ask: the fingerprint of a table, and whether the journals are full", Lock: "none", Waits: "nobody", SQL: base},
		{Title: "Make a journal for each captured table, and the functions that write it", Lock: "none", Waits: "nobody", SQL: journals},
		{Title: "Make the triggers that record changes, a transaction for each table or partition tree", Lock: string(shareRowExclusive), Waits: pause, SQL: triggers},
		{Title: "Refuse writes to the frozen tables until the run is over", Lock: string(shareRowExclusive), Waits: pause, SQL: freezes},
		{Title: "Refuse changes of the structure of captured tables, by event triggers", Lock: "none", Waits: "nobody", SQL: structure},
	}
	for i := range all {
		all[i].Phase = string(control.Capturing)
	}
	return slices.DeleteFunc(all, func(s plans.Step) bool { return len(s.SQL) == 0 }), remove, nil
}

// removalTold is what takes away one table's triggers, functions and journal, after the
// swap, by the names that its members have then.
func (t *target) removalTold(after func(pg.Name) pg.Name) []string {
	var all []string
	for _, m := range t.members {
		table := after(m.Name)
		all = append(all, lockText([]pg.Name{table}, accessExclusive))
		for _, g := range t.triggers(m) {
			all = append(all, told("DROP TRIGGER "+pg.Ident(t.trigger(g.name))+" ON "+table.Quoted()))
		}
	}
	if !t.frozen {
		all = append(all, told(dropJournalScript(t.base())))
	}
	for _, what := range t.functions() {
		all = append(all, told(dropFunction(t.function(what))))
	}
	return all
}

// afterSwap is what production's tables are called once they are the old side.
func afterSwap(plan *plans.Plan) func(pg.Name) pg.Name {
	if plan.Remote {
		return func(n pg.Name) pg.Name { return n }
	}
	return plan.Old
}

// armingTold is what arm sends, a transaction for each group of members.
func (t *target) armingTold() []string {
	var all []string
	for members := range slices.Chunk(t.members, membersAtOnce) {
		all = append(all, lockText(memberNames(members), shareRowExclusive), told(t.triggersScript(members)))
	}
	return all
}

// describeFreeze tells of the event triggers, which only a superuser may make.
func describeFreeze(ctx context.Context, db pg.Querier, run *control.Run) ([]string, error) {
	var super bool
	if err := db.QueryRow(ctx, `SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user`).Scan(&super); err != nil {
		return nil, fmt.Errorf("look up our role: %w", err)
	}
	if !super {
		return nil, nil
	}
	return []string{told(dropEventTriggers(run.ID) + freezeScript(run, ToShadow))}, nil
}
