package cutover

import (
	"context"
	_ "embed" // the queries
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

//go:embed sql/loud.sql
var loudSQL string

//go:embed sql/owners.sql
var ownersSQL string

// taken is what a swap takes from the old side, so that going back can give it
// again: by oid, since names change with the schemas.
type taken struct {
	// Sequences that were closed, as they were.
	Sequences []counter `json:"sequences,omitempty"`
	// Placed are the sequences that went on for them, as the swap left these.
	Placed []placement `json:"placed,omitempty"`
	// Owners of sequences that went over to the new tables.
	Owners []owner `json:"owners,omitempty"`
	// Triggers of the user's that would have fired for what is replayed into the
	// old tables.
	Triggers []loudTrigger `json:"triggers,omitempty"`
	// Moved, by the true name of a schema, are the objects that were moved into one that
	// stood in the new side's own database already: none of the others are to leave it.
	Moved map[string][]object `json:"moved,omitempty"`
	// Tables are those of the new side: what is made later would be left behind.
	Tables []uint32 `json:"tables"`
	// Belongings are what the new side's own database had of its own after the swap, by
	// [conditions.Belongings]: likewise.
	Belongings map[string]string `json:"belongings,omitempty"`
}

// object of a catalog.
type object struct {
	Class uint32 `json:"class"`
	OID   uint32 `json:"oid"`
}

// owner is the column that a sequence belongs to, by the table's true name.
type owner struct {
	Sequence uint32  `json:"sequence"`
	Table    pg.Name `json:"table"`
	Column   string  `json:"column"`
}

// loudTrigger fires at any session_replication_role, or for replicas only.
type loudTrigger struct {
	Table   uint32 `json:"table"`
	Name    string `json:"name"`
	Enabled string `json:"enabled"` // pg_trigger.tgenabled: A or R
}

// gatherTaken reads what the swap will take, before the fence.
func (f *facts) gatherTaken(ctx context.Context, db pg.Querier, plan *plans.Plan) error {
	production, _ := plan.SchemaNames()
	rows, err := db.Query(ctx, loudSQL, production, control.Schema)
	if err == nil {
		f.taken.Triggers, err = pgx.CollectRows(rows, pgx.RowToStructByPos[loudTrigger])
	}
	if err != nil {
		return fmt.Errorf("list the triggers that fire for replicas: %w", err)
	}
	shared := map[pg.Name]bool{}
	for _, s := range plan.Shared {
		shared[s.Name] = s.Kind == "SEQUENCE" || shared[s.Name]
	}
	var moved []uint32
	for _, s := range f.sequences {
		if shared[s.name] {
			moved = append(moved, s.oid)
		}
	}
	rows, err = db.Query(ctx, ownersSQL, moved)
	if err == nil {
		f.taken.Owners, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (owner, error) {
			var o owner
			err := row.Scan(&o.Sequence, &o.Table.Schema, &o.Table.Name, &o.Column)
			return o, err
		})
	}
	if err != nil {
		return fmt.Errorf("list whom sequences belong to: %w", err)
	}
	return nil
}

// silence keeps triggers of the user's on the old tables from what is replayed
// there: it comes with what they did already. The locks of the fence suffice.
func (t taken) silence(tables []relation) []string {
	var all []string
	for _, l := range t.Triggers {
		for _, r := range tables {
			if r.oid == l.Table {
				all = append(all, "ALTER TABLE "+r.name.Quoted()+" DISABLE TRIGGER "+pg.Ident(l.Name))
			}
		}
	}
	return all
}

// restore gives the old tables, under the names that they have in tables, their
// triggers back.
func (t taken) restore(tables []relation) []string {
	how := map[string]string{"A": "ENABLE ALWAYS TRIGGER ", "R": "ENABLE REPLICA TRIGGER "}
	var all []string
	for _, l := range t.Triggers {
		for _, r := range tables {
			if r.oid == l.Table {
				all = append(all, "ALTER TABLE "+r.name.Quoted()+" "+how[l.Enabled]+pg.Ident(l.Name))
			}
		}
	}
	return all
}

// ownedAgain completes the shared sequences of a way back with whom they belonged
// to. names are those of the sequences now.
func (t taken) ownedAgain(plan *plans.Plan, names []sequence) {
	for i := range plan.Shared {
		s := &plan.Shared[i]
		for _, n := range names {
			for _, o := range t.Owners {
				if n.oid == o.Sequence && n.name == s.Name {
					s.OwnedByTable, s.OwnedByColumn = o.Table, o.Column
				}
			}
		}
	}
}

// placedAt is where the swap left a sequence that went on for a closed one; nil: it was
// not noted, by an older pgumbra.
func (t taken) placedAt(oid uint32) *placement {
	if i := slices.IndexFunc(t.Placed, func(s placement) bool { return s.OID == oid }); i >= 0 {
		return &t.Placed[i]
	}
	return nil
}

// before is a closed sequence as it was.
func (t taken) before(oid uint32) (counter, bool) {
	for _, c := range t.Sequences {
		if c.OID == oid {
			return c, true
		}
	}
	return counter{}, false
}

// noteTaken is what the swap has taken, behind the fence. A rollback gives all of it
// back, and takes sequences alone: what was moved is taken back after it.
func (a *attempt) noteTaken(ctx context.Context) (t taken, err error) {
	if !a.plan.Backwards() {
		t = a.facts.taken
	}
	t.Moved, t.Belongings = a.facts.taken.Moved, a.facts.taken.Belongings
	t.Tables = oidsOf(a.facts.shadow)
	if a.facts.migrated != nil {
		t.Tables = oidsOf(a.facts.migrated)
	}
	t.Placed, err = a.standings(ctx)
	for _, s := range a.sequences {
		t.Sequences = append(t.Sequences, s.old)
	}
	return t, err
}

// readTaken completes the facts of a rollback, or prepares for one.
func (a *attempt) readTaken(ctx context.Context, shadow pg.Querier) (err error) {
	if !a.plan.Backwards() {
		if a.plan.Reversible() {
			a.turned, err = control.ReadBackRows(ctx, shadow, a.c.Upgrade)
		}
		if err == nil && a.c.Upgrade.Again {
			a.closed, err = a.c.readTaken(ctx, a.observer)
		}
		return err
	}
	if a.c.Again != nil {
		if a.turned, err = control.ReadForwardRows(ctx, a.observer, a.c.Again); err != nil {
			return err
		}
	}
	if a.facts.taken, err = a.c.readTaken(ctx, a.observer); err == nil {
		a.facts.taken.ownedAgain(a.plan, a.facts.sequences)
		a.closed = a.facts.taken
	}
	return err
}

var errNothingTaken = errors.New("the swap noted nothing to go back with")

// quietTriggers keeps the user's triggers on the old tables of a server of their own
// from what is replayed there, before anything is: nobody else writes there any more.
func (c *Cutover) quietTriggers(ctx context.Context) error {
	t, err := c.readTaken(ctx, c.Sides.Production)
	if errors.Is(err, errNothingTaken) {
		return nil
	}
	var tables []relation
	if err == nil {
		production, _ := c.Upgrade.Plan.SchemaNames()
		err = pinned(ctx, c.Sides.Production, func(tx pgx.Tx) (err error) {
			tables, err = relations(ctx, tx, production)
			return err
		})
	}
	for _, sql := range t.silence(tables) {
		if err == nil {
			err = leading(ctx, c.Sides.Production, c.Upgrade, sql)
		}
	}
	return err
}

// BelongingsAtSwap are what the new side's own database had of its own after the swap,
// as its record or that of the other side has it; nil where that was not noted: in one
// database, or by an older pgumbra.
func BelongingsAtSwap(ctx context.Context, db pg.Querier, run *control.Run) (map[string]string, error) {
	var t taken
	_, err := control.Taken(ctx, db, run, &t)
	return t.Belongings, err
}

// readTaken reads what the swap noted, for going back.
func (c *Cutover) readTaken(ctx context.Context, db pg.Querier) (t taken, err error) {
	noted, err := control.Taken(ctx, db, c.Upgrade, &t)
	if err == nil && !noted {
		err = errNothingTaken
	}
	return t, err
}
