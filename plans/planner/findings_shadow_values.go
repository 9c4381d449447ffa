package planner

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// numbering are the types whose values mean something on one server only.
var numbering = map[string]string{
	"oid": "an object's number", "xid": "a transaction's number", "xid8": "a transaction's number", "cid": "a command's number",
	"tid": "a row's place in its file", "pg_lsn": "a place in the server's log", "pg_snapshot": "a snapshot", "txid_snapshot": "a snapshot",
}

//go:embed findings_values.sql
var valuesSQL string

// held is a place in a column's values that holds some of a server's type.
type held struct {
	typ   string // without its schema, pg_catalog
	what  string // for people
	value string // FROM items that lead to it as held.value
}

// inside is such a place within composite types, domains and arrays.
type inside struct {
	table uint32
	name  string
	typ   string
	steps []string
}

// valuesOfOneServer finds columns that hold what another server does not know.
func (m *survey) valuesOfOneServer(ctx context.Context) error {
	return m.eachHeld(ctx, m.valueOfOneServer)
}

// eachHeld looks at the columns of all copied tables, with what they hold and
// where in them.
func (m *survey) eachHeld(ctx context.Context, look func(context.Context, *plans.Table, plans.Column, []held) error) error {
	nested, err := m.nestedValues(ctx)
	if err != nil {
		return err
	}
	for i := range m.plan.Tables {
		t := &m.plan.Tables[i]
		if t.Feed != plans.Copied {
			continue
		}
		for _, c := range t.Columns {
			if err := look(ctx, t, c, m.heldIn(t, c, nested)); err != nil {
				return err
			}
		}
	}
	return nil
}

// nestedValues looks into the types of all captured tables at once.
func (m *survey) nestedValues(ctx context.Context) ([]inside, error) {
	var tables []uint32
	for _, s := range m.plan.Sources {
		tables = append(tables, s.OID)
	}
	rows, err := m.db.Query(ctx, valuesSQL, tables, slices.Concat(slices.Collect(maps.Keys(plans.Referring)), slices.Collect(maps.Keys(numbering))))
	if err != nil {
		return nil, fmt.Errorf("look into the columns' types: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (i inside, err error) {
		err = row.Scan(&i.table, &i.name, &i.typ, &i.steps)
		return i, err
	})
}

// heldIn are the places in a column's values, as the shadow gets them: what an
// expression gives is known by its type alone, a column that is copied as it is
// by what production's is made of.
func (m *survey) heldIn(t *plans.Table, c plans.Column, nested []inside) (all []held) {
	if c.Expression == "" {
		return nil
	}
	element, isArray := strings.CutSuffix(strings.TrimPrefix(c.Type, "pg_catalog."), "[]")
	if plans.Referring[element] != "" || numbering[element] != "" {
		var steps []string
		if isArray {
			steps = []string{"[]"}
		}
		return []held{{element, c.Type, reached("(VALUES ("+c.Expression+"\n))", steps)}}
	}
	source := m.sourceOf(t)
	name := plainReference(c.Expression)
	for _, i := range nested {
		if i.table == source.OID && i.name == name && m.sameType(source, name, t, c) {
			value := "(VALUES (" + pg.Ident(source.Name.Name) + "." + pg.Ident(name) + "))"
			all = append(all, held{i.typ, i.typ + ", inside of the column's own type,", reached(value, i.steps)})
		}
	}
	return all
}

func (m *task) sourceOf(t *plans.Table) *plans.Source {
	return &m.plan.Sources[slices.IndexFunc(m.plan.Sources, func(s plans.Source) bool { return s.N == t.Source })]
}

// sameType: the column keeps its type, whose attributes cannot change theirs as
// long as a column is of it.
func (m *survey) sameType(source *plans.Source, name string, t *plans.Table, c plans.Column) bool {
	table := m.before.ByName(source.Name)
	if table == nil {
		return false
	}
	before, there := table.ColumnNamed(name)
	return there && before.TypeOID == m.shadowColumn(t, c.Shadow).TypeOID
}

// reached leads from a value to one inside of it, step by step: into an
// attribute, or to each element of an array.
func reached(value string, steps []string) string {
	var b strings.Builder
	at := func(i int) string {
		if i == len(steps) {
			return "held"
		}
		return fmt.Sprintf("held_%d", i)
	}
	fmt.Fprintf(&b, " CROSS JOIN LATERAL %s AS %s (value)", value, at(0))
	for i, step := range steps {
		if step == "[]" {
			fmt.Fprintf(&b, " CROSS JOIN LATERAL (SELECT element FROM pg_catalog.unnest(%s.value) AS element) AS %s (value)", at(i), at(i+1))
			continue
		}
		fmt.Fprintf(&b, " CROSS JOIN LATERAL (SELECT (%s.value)%s) AS %s (value)", at(i), step, at(i+1))
	}
	return b.String()
}

// valueOfOneServer tells of each kind of place at most once.
func (m *survey) valueOfOneServer(ctx context.Context, t *plans.Table, c plans.Column, places []held) error {
	object := t.Final.String() + "." + c.Shadow
	if i := slices.IndexFunc(places, func(h held) bool { return numbering[h.typ] != "" }); i >= 0 {
		m.warning("server-numbers", object, fmt.Sprintf("type %s holds %s, which is copied as it is and means something else, or nothing, on the shadow's server: numbers there may be smaller than those that the column holds", places[i].what, numbering[places[i].typ]),
			"see that nothing compares it with what the server says of itself")
	}
	for _, h := range places {
		if plans.Referring[h.typ] == "" {
			continue
		}
		names, err := m.namesObjects(ctx, t, h)
		switch {
		case pg.State(err) == "" && err != nil:
			return err
		case err != nil:
			m.warning("object-reference", object, fmt.Sprintf("whether the values of type %s name objects of yours could not be looked up (%v); the shadow's database does not have them before the cutover, and the copy would fail", h.what, err),
				"make the column text, before the run or by a migration")
			return nil
		case names:
			m.blocker("object-reference", object, fmt.Sprintf("values of type %s name objects of yours, which the shadow's database does not have before the cutover: the copy would fail", h.what),
				"make the column text, before the run or by a migration: ALTER TABLE … ALTER COLUMN "+pg.Ident(c.Shadow)+" TYPE text")
			return nil
		}
	}
	return nil
}

// lookAtValues is how long one place is read at the most.
const lookAtValues = 10 * time.Second

// namesObjects asks production whether a place holds a number that initdb did
// not give, nor an extension's object, which the shadow has by its name. ACCESS
// SHARE for [lookAtValues] at the most; past that an error with a SQLSTATE.
func (m *survey) namesObjects(ctx context.Context, t *plans.Table, h held) (names bool, err error) {
	source := m.sourceOf(t)
	query := fmt.Sprintf(`SELECT EXISTS (SELECT FROM %s AS %s%s
		WHERE held.value::pg_catalog.%s::pg_catalog.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
			WHERE d.classid = 'pg_catalog.%s'::pg_catalog.regclass AND d.objid = held.value::pg_catalog.%[4]s::pg_catalog.oid AND d.deptype = 'e'))`,
		source.Name.Quoted(), pg.Ident(source.Name.Name), h.value, h.typ, plans.Referring[h.typ])
	err = pg.RepeatableRead(ctx, m.db, func(tx pgx.Tx) error {
		if err := bound(ctx, tx, m.plan.SearchPath, lookAtValues); err != nil {
			return err
		}
		return tx.QueryRow(ctx, query).Scan(&names)
	})
	return names, err
}
