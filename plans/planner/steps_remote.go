package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Titles of the steps that hold clients and lead them on; [Lead] writes
// what is typed.
const (
	holdTitle = "Hold the clients: they finish their transactions and queue"
	leadTitle = "Lead the clients to the shadow"
)

func buildingRemote(p *plans.Plan) []plans.Step {
	return []plans.Step{
		{Phase: "building", Title: "Make the control schema, in production and in the shadow's database", Lock: noLock, Waits: nobody,
			SQL: []string{"CREATE SCHEMA IF NOT EXISTS pgumbra", SlotSessions}},
		{Phase: "building", Title: "Make the shadow's structure in its database, tables without indexes", Lock: noLock, Waits: shadowOnly,
			SQL: entrySQL(p, plans.StageBuild)},
		{Phase: "building", Title: "Make its skeleton in production, where transforms are evaluated: the same tables, empty", Lock: noLock, Waits: shadowOnly,
			SQL: []string{"-- the statements of the step before"}},
		{Phase: "building", Title: "Put in the rows that the migrations inserted into new tables", Lock: noLock, Waits: shadowOnly,
			SQL: putInSQL(p)},
		closeStep(p),
	}
}

// cutoverRemote: what one commit does in one database takes two here. The commit
// on the shadow decides; until then everything is undone if anything fails.
func cutoverRemote(p *plans.Plan) []plans.Step {
	const mode = "EXCLUSIVE"
	c := p.Settings.Cutover
	stall := fmt.Sprintf("writers and SELECT FOR UPDATE (plain readers never) wait for at most %s from here on (cutover.max_stall and a tenth); past it all is undone and tried again, up to %d times",
		human.Duration(c.Longest()), c.Attempts)
	queued := "clients that come through the pool queue; others that write wait, and are refused later"
	return []plans.Step{
		wayBackStep(),
		{Phase: "cutover", Title: readyTitle(p),
			Lock: noLock, Waits: nobody, SQL: append([]string{SlotReady}, triedSQL(p)...)},
		{Phase: "cutover", Title: holdTitle, Lock: noLock, Waits: queued, SQL: []string{"-- by hand: neither traffic.pgbouncer nor traffic.command is given"}},
		{Phase: "cutover", Title: "Fence: stop writes to production", Lock: mode, SQL: append(viewLocks(p), SlotFence),
			Waits: fmt.Sprintf("we wait for open transactions that wrote, at most %s for all tables together (cutover.lock_timeout); %s", human.Duration(c.LockTimeout), stall)},
		{Phase: "cutover", Title: "Drain: replay the last changes", Lock: mode, Waits: queued, SQL: []string{"-- the last batches, as while following"}},
		{Phase: "cutover", Title: "On the shadow, in a transaction that stays open: sequences, foreign keys (not validated yet), triggers, rules, what the database itself has, the write block opened, and the names",
			Lock: mode, Waits: queued, SQL: preparedSQL(p)},
		behindStep(p, mode, queued),
		{Phase: "cutover", Title: "Close production: its tables refuse writes (SQLSTATE 25006) and name the new place; the capture stays, for the case that all is undone", Lock: mode, Waits: queued, SQL: []string{SlotOldSide, "COMMIT -- in production"}},
		{Phase: "cutover", Title: leadTitle, Lock: noLock, Waits: queued, SQL: []string{"-- by hand: to the database of shadow.dsn"}},
		{Phase: "cutover", Title: "Commit on the shadow: this decides; then the clients go on", Lock: noLock, Waits: "nobody from here on", SQL: []string{"COMMIT -- on the shadow"}},
	}
}

func readyTitle(p *plans.Plan) string {
	const title = "Make ready: the fence's function in production, which lets everything pass yet"
	if p.VersionTable != nil && p.VersionTable.Moves {
		return title + "; golang-migrate's row in the shadow"
	}
	return title
}

// triedSQL looks whether a schema that is there already is empty.
func triedSQL(p *plans.Plan) (all []string) {
	for _, s := range p.Schemas {
		if s.Swap == plans.Move {
			all = append(all, "SAVEPOINT empty; -- on the shadow\nDROP SCHEMA "+pg.Ident(s.Production)+";\nROLLBACK TO empty")
		}
	}
	return all
}

func preparedSQL(p *plans.Plan) []string {
	all := append([]string{SlotSequences, SlotSuccession, SlotStructure, SlotReverse}, openSQL(p)...)
	all = append(all, SlotVersion)
	for _, s := range p.Schemas {
		if s.Swap == plans.Move {
			all = append(all, fmt.Sprintf("-- %s is there already; where it is empty, it is dropped, and %s renamed", pg.Ident(s.Production), pg.Ident(s.Shadow)))
			all = append(append(all, s.MoveIn...), "DROP SCHEMA "+pg.Ident(s.Shadow))
			continue
		}
		all = append(all, fmt.Sprintf("ALTER SCHEMA %s RENAME TO %s", pg.Ident(s.Shadow), pg.Ident(s.Production)))
	}
	return append(all, SlotDefaults)
}

func watchingRemote(p *plans.Plan) []plans.Step {
	triggers := []string{"-- on the shadow", SlotAfter, "-- in production", SlotCapture}
	for _, name := range p.ShadowRelations() {
		triggers = append(triggers, fmt.Sprintf("DROP TABLE %s CASCADE -- of the skeleton", name.Quoted()))
	}
	for _, s := range p.Schemas {
		triggers = append(triggers, fmt.Sprintf("DROP SCHEMA %s CASCADE -- the skeleton", pg.Ident(s.Shadow)))
	}
	for _, e := range slices.Backward(p.Entries) {
		if e.Tag == "EXTENSION" {
			triggers = append(triggers, fmt.Sprintf("DROP EXTENSION IF EXISTS %s -- if the skeleton brought it, and nothing else needs it", pg.Ident(e.Name.Name)))
		}
	}
	return []plans.Step{
		{Phase: "watching", Title: "Drop the write block, the skeleton and the capture of the old tables", Lock: "ACCESS EXCLUSIVE",
			Waits: "readers of one table at a time, 100 ms an attempt, repeated until it was got at once", SQL: triggers},
		{Phase: "watching", Title: "Validate the foreign keys on the shadow", Lock: noLock, Waits: "nobody but DDL and VACUUM of that table", SQL: validateSQL(p)},
		noWayBackStep(),
		{Phase: "finished", Title: "End the watch; finish --drop-old drops the old side too", Lock: noLock, Waits: "nobody: the old side refuses writes", SQL: []string{SlotFinish, SlotDropOld}},
	}
}

// setTraffic writes what leads the clients: what holds them first, the rest in
// its place.
func setTraffic(p *plans.Plan, commands []string) {
	var hold, lead []string
	for _, c := range commands {
		if strings.Contains(c, ": PAUSE") {
			hold = append(hold, c)
		} else {
			lead = append(lead, c)
		}
	}
	for i := range p.Steps {
		switch s := &p.Steps[i]; s.Title {
		case holdTitle:
			s.SQL = hold
			if len(hold) == 0 {
				s.SQL = []string{"-- nothing holds them: writers wait at the fence"}
			}
		case leadTitle:
			s.SQL = lead
		}
	}
}
