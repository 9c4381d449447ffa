package cutover

import (
	"context"
	_ "embed"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// facts are what the catalogs say right before an attempt. What the swap's
// text is made of, so that nothing has to be asked behind the fence but whether
// it still holds.
type facts struct {
	production []relation
	shadow     []relation
	sequences  []sequence // of production's, that go on
	replayed   []uint32   // of these, what replay draws from: the fence leaves them open
	outside    []pg.Name  // of other schemas, locked with production's: see [referenced]
	captured   []capturedBy
	moves      []move
	taken      taken      // from the old side: what the swap will take, or took
	migrated   []relation // of the new side, once migrations ran behind the fence; nil: none did
}

// relation holds rows, or is the root or a middle level of a partition tree.
type relation struct {
	oid  uint32
	name pg.Name
}

// capturedBy are the triggers of capture's on a table.
type capturedBy struct {
	table    pg.Name
	triggers []string
}

// move is how one schema's names come to lead to the shadow.
type move struct {
	schema plans.Schema
	method method
	// extensions that go along into the new schema; method relocate
	extensions []string
	// carry gives the shadow schema (relocate) or the old one (objectByObject) the
	// owner, privileges and comment of production's.
	carry []string
	// statements that move objects one by one; method objectByObject
	leave, enter []string
}

type method int

const (
	// relocate: rename both schemas and move the extensions that live in
	// production's into the new one. No table is locked for it, and readers
	// never wait.
	relocate method = iota
	// objectByObject: SET SCHEMA for each object, behind ACCESS EXCLUSIVE, where an
	// extension must stay (not relocatable, or not ours to move).
	objectByObject
)

//go:embed sql/relations.sql
var relationsSQL string

//go:embed sql/outside.sql
var outsideSQL string

//go:embed sql/captured.sql
var capturedSQL string

//go:embed sql/carry.sql
var carrySQL string

func gather(ctx context.Context, conn *pgx.Conn, plan *plans.Plan) (*facts, error) {
	f := new(facts)
	production, shadow := plan.SchemaNames()
	var err error
	if f.production, err = relations(ctx, conn, production); err != nil {
		return nil, err
	}
	if f.shadow, err = relations(ctx, conn, shadow); err != nil {
		return nil, err
	}
	if f.sequences, err = continuing(ctx, conn, plan, nil); err != nil {
		return nil, err
	}
	if f.replayed, err = drawnByReplay(ctx, conn, plan); err != nil {
		return nil, err
	}
	if plan.Reversible() && !plan.Backwards() {
		if err := f.gatherTaken(ctx, conn, plan); err != nil {
			return nil, err
		}
	}
	if f.outside, err = referenced(ctx, conn, plan, production, shadow); err != nil {
		return nil, err
	}
	if f.captured, err = captured(ctx, conn, production); err != nil {
		return nil, err
	}
	for _, s := range plan.Schemas {
		m, err := planMove(ctx, conn, plan, s)
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", s.Production, err)
		}
		f.moves = append(f.moves, m)
	}
	return f, nil
}

// relations lists tables and partitioned tables of some schemas in the order
// in which everybody of ours locks them. Members of extensions are left out.
func relations(ctx context.Context, db pg.Querier, schemas []string) ([]relation, error) {
	return relationsOf(ctx, db, schemas, "r", "p")
}

// relationsOf are those of some kinds, as pg_class.relkind has them.
func relationsOf(ctx context.Context, db pg.Querier, schemas []string, kinds ...string) ([]relation, error) {
	rows, err := db.Query(ctx, relationsSQL, schemas, kinds)
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (relation, error) {
		var r relation
		err := row.Scan(&r.oid, &r.name.Schema, &r.name.Name)
		return r, err
	})
}

// referenced lists tables of other schemas that the fence locks in its order: which
// foreign keys of production's refer to, or those that the swap adds and that are checked
// before it, and golang-migrate's.
func referenced(ctx context.Context, db pg.Querier, plan *plans.Plan, production, shadow []string) ([]pg.Name, error) {
	var schemas, names []string
	add := func(n pg.Name) { schemas, names = append(schemas, n.Schema), append(names, n.Name) }
	for _, fk := range plan.NewFKs {
		add(fk.References)
	}
	for i := range plan.Entries {
		if to, isKey := refersTo(&plan.Entries[i]); isKey {
			add(to)
		}
	}
	if v := plan.VersionTable; v != nil && v.Exists && !v.Moves {
		add(v.Name)
	}
	rows, err := db.Query(ctx, outsideSQL, production, slices.Concat(production, shadow), schemas, names)
	if err != nil {
		return nil, fmt.Errorf("list referenced tables: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (pg.Name, error) {
		var n pg.Name
		err := row.Scan(&n.Schema, &n.Name)
		return n, err
	})
}

// refersTo is the table that a foreign key of the plan's structure refers to, as the
// shadow calls it.
func refersTo(e *plans.Entry) (pg.Name, bool) {
	if e.Tag != "FK CONSTRAINT" {
		return pg.Name{}, false
	}
	k, isKey := pgdump.ParseForeignKey(e.SQL)
	return k.References, isKey
}

func captured(ctx context.Context, db pg.Querier, production []string) ([]capturedBy, error) {
	rows, err := db.Query(ctx, capturedSQL, production, control.Schema)
	if err != nil {
		return nil, fmt.Errorf("list capture's triggers: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (capturedBy, error) {
		var c capturedBy
		err := row.Scan(&c.table.Schema, &c.table.Name, &c.triggers)
		return c, err
	})
}

func planMove(ctx context.Context, conn *pgx.Conn, plan *plans.Plan, s plans.Schema) (move, error) {
	m := move{schema: s}
	if s.Swap == plans.Rename {
		return m, nil
	}
	var err error
	if m.extensions, err = extensionsIn(ctx, conn, s.Production); err != nil {
		return m, err
	}
	if m.method, err = probe(ctx, conn, s, m.extensions); err != nil {
		return m, err
	}
	target := s.Shadow
	if m.method == objectByObject {
		target = s.Old
		if err := m.objects(ctx, conn, plan); err != nil {
			return m, err
		}
	}
	m.carry, err = carried(ctx, conn, s.Production, target, m.method)
	return m, err
}

// carried are the statements that give a schema what production's has.
func carried(ctx context.Context, db pg.Querier, production, target string, by method) (all []string, err error) {
	rows, err := db.Query(ctx, carrySQL, production, target, by == relocate)
	if err == nil {
		all, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("read owner and privileges: %w", err)
	}
	return all, nil
}

// extensionsIn are those that are installed in a schema.
func extensionsIn(ctx context.Context, db pg.Querier, schema string) (all []string, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(array_agg(e.extname::text ORDER BY e.oid), '{}')
		FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE n.nspname = $1`, schema).Scan(&all)
	if err != nil {
		return nil, fmt.Errorf("list extensions: %w", err)
	}
	return all, nil
}

// probe tries in a transaction that is rolled back whether every extension can
// be moved by this role, and whether anything but relocatable members would be
// left behind.
func probe(ctx context.Context, conn *pgx.Conn, s plans.Schema, extensions []string) (method, error) {
	stays, err := foreignMembers(ctx, conn, s.Production)
	if err != nil || stays {
		return objectByObject, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return objectByObject, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil {
		return objectByObject, err
	}
	if err := pg.BoundSilence(ctx, tx, pg.Silence); err != nil {
		return objectByObject, err
	}
	for _, e := range extensions {
		_, err := tx.Exec(ctx, "ALTER EXTENSION "+pg.Ident(e)+" SET SCHEMA "+pg.Ident(s.Shadow))
		if pg.Unreachable(err) || ctx.Err() != nil {
			return objectByObject, err
		}
		if err != nil {
			return objectByObject, nil
		}
	}
	return relocate, nil
}

// foreignMembers reports whether members of an extension that is installed in
// another schema live in this one: they would not go along.
func foreignMembers(ctx context.Context, db pg.Querier, schema string) (bool, error) {
	var there bool
	err := db.QueryRow(ctx, `SELECT EXISTS (
		SELECT FROM pg_depend d
		JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
		CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) o
		WHERE d.deptype = 'e' AND o.schema = quote_ident($1)
		  AND e.extnamespace <> (SELECT oid FROM pg_namespace WHERE nspname = $1))`, schema).Scan(&there)
	if err != nil {
		return false, fmt.Errorf("look for extensions' members: %w", err)
	}
	return there, nil
}

// objects lists the statements that move everything but what is shared.
func (m *move) objects(ctx context.Context, db pg.Querier, plan *plans.Plan) error {
	if err := m.leaving(ctx, db, plan); err != nil {
		return err
	}
	targets, err := catalog.Movables(ctx, db, m.schema.Shadow)
	if err != nil {
		return err
	}
	for _, o := range targets {
		m.enter = append(m.enter, o.SetSchema(m.schema.Production))
	}
	return nil
}

// leaving lists those that move production's.
func (m *move) leaving(ctx context.Context, db pg.Querier, plan *plans.Plan) error {
	old, err := catalog.Movables(ctx, db, m.schema.Production)
	for _, o := range old {
		if !plan.IsShared(o) {
			m.leave = append(m.leave, o.SetSchema(m.schema.Old))
		}
	}
	return err
}
