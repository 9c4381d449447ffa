package cutover

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Triggers of the cutover's own. The guard is on the new tables until no older
// snapshot is left, the fence on the old ones for as long as these exist.
const (
	guardTrigger = "pgumbra_guard"
	fenceTrigger = "pgumbra_fence"
)

// stage is a part of the swap's text, sent in one round trip.
type stage struct {
	name string
	sql  []string
}

func entryStatements(entries []plans.Entry) []string {
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = e.SQL
	}
	return all
}

func statementTrigger(trigger string, table, function pg.Name, argument string) string {
	return fmt.Sprintf("CREATE TRIGGER %s BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s(%s)",
		trigger, table.Quoted(), function.Quoted(), pg.Literal(argument))
}

// oldSide switches capture off on the old tables and refuses writes to them
// from now on. DROP TRIGGER would need ACCESS EXCLUSIVE: that is for later.
func oldSide(run *control.Run, f *facts) []string {
	var all []string
	for _, c := range f.captured {
		parts := make([]string, len(c.triggers))
		for i, t := range c.triggers {
			parts[i] = "DISABLE TRIGGER " + pg.Ident(t)
		}
		all = append(all, "ALTER TABLE ONLY "+c.table.Quoted()+" "+strings.Join(parts, ", "))
	}
	for _, t := range f.production {
		all = append(all, statementTrigger(fenceTrigger, t.name, fenceName(run), t.name.String()),
			"ALTER TABLE ONLY "+t.name.Quoted()+" ENABLE ALWAYS TRIGGER "+fenceTrigger)
	}
	return all
}

// outsideVersion writes golang-migrate's row where its table does not move.
func outsideVersion(plan *plans.Plan) []string {
	v := plan.VersionTable
	switch {
	case v == nil || v.Moves:
		return nil
	case plan.Backwards() && !v.Exists: // the swap made it
		return []string{"DROP TABLE IF EXISTS " + v.Name.Quoted()}
	case plan.Backwards() && plan.ToVersion == nil:
		return []string{"DELETE FROM " + v.Name.Quoted()}
	case plan.ToVersion == nil:
		return nil
	}
	statements := versionRow(v.Name, *plan.ToVersion)
	if v.Exists {
		return statements[1:]
	}
	return statements
}

// names swaps the names, shared types and sequences first: they go where the
// new tables are, so that whoever uses them by oid goes on. A sequence that a
// table owns cannot change its schema alone; it is bound to the new column at
// the end, when both are in one schema.
func names(plan *plans.Plan, moves []move) []string {
	var before, after []string
	for _, s := range plan.Shared {
		m, ok := moveOf(moves, s.Name.Schema)
		if !ok {
			continue
		}
		if s.Kind == "SEQUENCE" {
			before = append(before, "ALTER SEQUENCE "+s.Name.Quoted()+" OWNED BY NONE")
			if !s.OwnedByTable.IsZero() {
				after = append(after, fmt.Sprintf("ALTER SEQUENCE %s OWNED BY %s.%s", s.Name.Quoted(), s.OwnedByTable.Quoted(), pg.Ident(s.OwnedByColumn)))
			}
		}
		if m.method != objectByObject {
			before = append(before, fmt.Sprintf("ALTER %s %s SET SCHEMA %s", s.Kind, s.Name.Quoted(), pg.Ident(m.schema.Shadow)))
		}
	}
	for _, m := range moves {
		before = append(before, m.statements()...)
	}
	return append(before, after...)
}

func moveOf(moves []move, production string) (move, bool) {
	for _, m := range moves {
		if m.schema.Production == production {
			return m, true
		}
	}
	return move{}, false
}

func (m move) statements() []string {
	s := m.schema
	if m.method == objectByObject {
		all := append([]string{"CREATE SCHEMA " + pg.Ident(s.Old)}, m.carry...)
		all = append(append(all, m.leave...), m.enter...)
		return append(all, "DROP SCHEMA "+pg.Ident(s.Shadow))
	}
	all := append([]string{}, m.carry...)
	all = append(all,
		fmt.Sprintf("ALTER SCHEMA %s RENAME TO %s", pg.Ident(s.Production), pg.Ident(s.Old)),
		fmt.Sprintf("ALTER SCHEMA %s RENAME TO %s", pg.Ident(s.Shadow), pg.Ident(s.Production)))
	for _, e := range m.extensions {
		all = append(all, fmt.Sprintf("ALTER EXTENSION %s SET SCHEMA %s", pg.Ident(e), pg.Ident(s.Production)))
	}
	return all
}

// play runs stages one after the other.
func (a *attempt) play(ctx context.Context, where *pair, stages []stage) error {
	for _, s := range stages {
		if len(s.sql) == 0 {
			continue
		}
		group := fmt.Sprintf("SET LOCAL statement_timeout = %d;\n%s", a.left(), strings.Join(s.sql, ";\n"))
		if err := where.watched(ctx, group); err != nil {
			a.waitedOn = where.waitedOn
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// left is what is left of max_stall in milliseconds, at least one: zero would
// be no limit at all.
func (a *attempt) left() int64 { return max(time.Until(a.deadline).Milliseconds(), 1) }

// accepted are the tables that a rollback leaves as they are, although they differ from what
// the new ones make of them.
func (c *Cutover) accepted() (names []string) {
	for n := range c.Upgrade.Plan.Tables {
		if c.Upgrade.Accepted[n] {
			names = append(names, c.Upgrade.Plan.Tables[n].Final.String())
		}
	}
	return names
}

// report is the outcome as status shows it. The mark is for [Cutover.After].
func (a *attempt) report(stall time.Duration) []byte {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	told := map[string]any{
		"at": a.out.At, "attempts": a.out.Attempts, "lock_wait_ms": ms(a.out.LockWait),
		"drained": a.out.Drained, "stall_ms": ms(stall),
	}
	if parts := a.parts(stall); len(parts) > 0 {
		told["parts"] = parts
	}
	if a.out.Held > 0 {
		told["held_ms"] = ms(a.out.Held)
	}
	if len(a.out.Migrations) > 0 {
		told["migrations"], told["unvalidated"] = a.out.Migrations, a.out.unvalidated
	}
	if left := a.c.accepted(); len(left) > 0 {
		told["accepted"] = left
	}
	if a.mark != "" {
		told["guard"] = a.mark
	}
	text, err := pg.JSON(told)
	if err != nil {
		panic(err) // numbers, a time and a string
	}
	return text
}
