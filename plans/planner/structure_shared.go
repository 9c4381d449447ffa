package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// readAfter reads what the migrations left in scratch, true names still.
func (m *trial) readAfter(ctx context.Context) error {
	if err := m.readTrace(ctx); err != nil {
		return err
	}
	var err error
	if m.after, err = catalog.Read(ctx, m.scratch.db); err != nil {
		return err
	}
	if err := m.after.ReadValues(ctx, m.scratch.db, m.file.Production.Schemas); err != nil {
		return err
	}
	if err := m.readRows(ctx); err != nil {
		return err
	}
	return m.chooseSwaps()
}

// chooseSwaps: a schema with members of extensions cannot be renamed, or names
// like public.citext would go along.
func (m *site) chooseSwaps() error {
	for i, s := range m.plan.Schemas {
		before, _ := m.production.Schema(s.Production)
		after, there := m.after.Schema(s.Production)
		if !there {
			m.opaque("schema-dropped", s.Production, m.naming(s.Production, "schema"), "the migrations drop or rename this schema", "leave it out of production.schemas, or drop it by hand after the upgrade")
			return errBlocked
		}
		if !m.plan.Remote && (before.HasMembers || after.HasMembers) {
			m.plan.Schemas[i].Swap = plans.Move
		}
	}
	if m.plan.Remote {
		m.chooseSwapsRemote()
	}
	return nil
}

// findShared finds types and sequences that the migrations left as they were:
// production's own serve the shadow too, and the swap moves them, so that
// prepared statements and currval() go on.
func (m *draft) findShared(ctx context.Context) error {
	if m.plan.Remote {
		return nil // what is in another database cannot be shared
	}
	inside, err := m.movingObjects(ctx)
	if err != nil {
		return err
	}
	m.shareTypes(inside)
	m.shareSequences()
	return nil
}

// movingObjects are the oids of all that lives in the schemas that move,
// extension members left out.
func (m *trial) movingObjects(ctx context.Context) (map[uint32]bool, error) {
	inside := map[uint32]bool{}
	for _, s := range m.file.Production.Schemas {
		all, err := catalog.Movables(ctx, m.scratch.db, s)
		if err != nil {
			return nil, err
		}
		for _, o := range all {
			inside[o.OID] = true
		}
	}
	for _, t := range m.after.Tables {
		if m.moving(t.Name.Schema) && !t.Extension {
			inside[t.RowType] = true
		}
	}
	return inside, nil
}

func (m *lineage) shareTypes(inside map[uint32]bool) {
	before := map[uint32]*catalog.Type{}
	for _, t := range m.before.Types {
		before[t.OID] = t
	}
	kept := map[uint32]*catalog.Type{}
	for _, t := range m.after.Types {
		if m.moving(t.Name.Schema) && !t.Extension && unchangedType(before[t.OID], t) && !m.mayBeAltered(t.Name.Name) {
			kept[t.OID] = t
		}
	}
	for changed := true; changed; {
		changed = false
		for oid, t := range kept {
			if !m.selfContained(t, kept, inside) {
				delete(kept, oid)
				changed = true
			}
		}
	}
	for oid := range kept {
		m.shared[oid] = true
	}
}

// unchangedType: range types are never shared. SET SCHEMA of one leaves its
// constructor functions behind, and dropping the schema these are in would drop
// the type with them.
func unchangedType(before, after *catalog.Type) bool {
	return before != nil && strings.Contains("cde", after.Kind) && before.Name == after.Name && before.Kind == after.Kind &&
		before.Definition == after.Definition && before.Owner == after.Owner && before.ACL == after.ACL &&
		before.Comment == after.Comment
}

// selfContained: everything the type is made of stays what it is too.
func (m *lineage) selfContained(t *catalog.Type, kept map[uint32]*catalog.Type, inside map[uint32]bool) bool {
	for _, oid := range t.Refers {
		if inside[oid] && kept[oid] == nil {
			return false
		}
	}
	return !slices.ContainsFunc(t.Objects, func(oid uint32) bool { return inside[oid] })
}

func (m *lineage) shareSequences() {
	before := map[uint32]*catalog.Sequence{}
	for _, s := range m.before.Sequences {
		before[s.OID] = s
	}
	for _, s := range m.after.Sequences {
		b := before[s.OID]
		if b == nil || !m.moving(s.Name.Schema) || s.Identity || b.Identity || s.Extension || m.positioned(s) || m.mentioned(m.ownNames(s)...) {
			continue
		}
		if b.Name == s.Name && b.Definition == s.Definition && b.Owner == s.Owner && b.ACL == s.ACL &&
			b.Comment == s.Comment && b.Persistence == s.Persistence {
			m.shared[s.OID] = true
		}
	}
}

// listShared writes what is shared into the plan: types before what uses them
// matters not, since they exist; the order is that of their names.
func (m *lineage) listShared() {
	for _, t := range m.after.Types {
		if !m.shared[t.OID] {
			continue
		}
		kind := "TYPE"
		if t.Kind == "d" {
			kind = "DOMAIN"
		}
		m.plan.Shared = append(m.plan.Shared, plans.Shared{Kind: kind, Name: t.Name})
	}
	for _, s := range m.after.Sequences {
		if !m.shared[s.OID] {
			continue
		}
		shared := plans.Shared{Kind: "SEQUENCE", Name: s.Name}
		if t := m.after.ByOID(s.Table); t != nil {
			c, _ := t.Column(s.Column)
			shared.OwnedByTable, shared.OwnedByColumn = t.Name, c.Name
		}
		m.plan.Shared = append(m.plan.Shared, shared)
	}
}

// rename brings scratch to where the second dump is taken: everything of the
// schemas that move under the shadow's names, what is shared under the true ones.
func (m *draft) rename(ctx context.Context) error {
	m.listShared()
	if err := m.freeShared(ctx); err != nil {
		return err
	}
	for i := range m.plan.Schemas {
		if err := m.renameSchema(ctx, &m.plan.Schemas[i]); err != nil {
			return fmt.Errorf("schema %s: %w", m.plan.Schemas[i].Production, err)
		}
	}
	var err error
	m.final, err = catalog.Read(ctx, m.scratch.db)
	return err
}

// freeShared takes shared sequences from their owners: an owned one cannot be
// moved by itself. Event triggers end here: from now on only we change scratch.
func (m *trial) freeShared(ctx context.Context) error {
	_, err := m.scratch.db.Exec(ctx, `DO $$ DECLARE e name; BEGIN
		FOR e IN SELECT evtname FROM pg_event_trigger LOOP EXECUTE format('DROP EVENT TRIGGER %I', e); END LOOP; END $$`)
	if err != nil {
		return fmt.Errorf("drop event triggers in scratch: %w", err)
	}
	for _, s := range m.plan.Shared {
		if s.Kind != "SEQUENCE" {
			continue
		}
		if _, err := m.scratch.db.Exec(ctx, "ALTER SEQUENCE "+s.Name.Quoted()+" OWNED BY NONE"); err != nil {
			return err
		}
	}
	return nil
}

// renameSchema. public is never renamed here: pg_dump leaves out privileges that
// it knows public by its oid to have from the start.
func (m *trial) renameSchema(ctx context.Context, s *plans.Schema) error {
	if s.Swap == plans.Move || s.Production == "public" {
		return m.moveAway(ctx, s)
	}
	n, _ := m.after.Schema(s.Production)
	script := "ALTER SCHEMA " + pg.Ident(s.Production) + " RENAME TO " + pg.Ident(s.Shadow) +
		";\nCREATE SCHEMA " + pg.Ident(s.Production) +
		";\nALTER SCHEMA " + pg.Ident(s.Production) + " OWNER TO " + pg.Ident(n.Owner) + ";\n"
	for _, o := range m.plan.Shared {
		if o.Name.Schema == s.Production {
			script += o.SetSchema(s.Shadow, s.Production) + ";\n"
		}
	}
	return pg.ExecScript(ctx, m.scratch.db, script)
}

func (m *trial) moveAway(ctx context.Context, s *plans.Schema) error {
	all, err := catalog.Movables(ctx, m.scratch.db, s.Production)
	if err != nil {
		return err
	}
	if _, err := m.scratch.db.Exec(ctx, "CREATE SCHEMA "+pg.Ident(s.Shadow)); err != nil {
		return err
	}
	for group := range slices.Chunk(all, entriesAtOnce) {
		script := ""
		for _, o := range group {
			if !m.plan.IsShared(o) {
				script += o.SetSchema(s.Shadow) + ";\n"
			}
		}
		if err := pg.ExecScript(ctx, m.scratch.db, script); err != nil {
			return err
		}
	}
	if s.Swap != plans.Move {
		return nil
	}
	moved, err := catalog.Movables(ctx, m.scratch.db, s.Shadow)
	for _, o := range moved {
		s.MoveIn = append(s.MoveIn, o.SetSchema(s.Production))
	}
	return err
}
