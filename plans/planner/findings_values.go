package planner

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// objectsInRows finds rows that name, by its number, what the swap replaces: the
// new table has another oid than the one that regclass wrote down, and the number
// goes on naming the old one. Each column is read for [lookAtValues] at the most.
func (m *survey) objectsInRows(ctx context.Context) error {
	if m.plan.Remote {
		return nil // they are looked at likewise there
	}
	return m.eachHeld(ctx, m.objectsInColumn)
}

func (m *survey) objectsInColumn(ctx context.Context, t *plans.Table, c plans.Column, places []held) error {
	for _, h := range places {
		if h.typ != "oid" && plans.Referring[h.typ] == "" {
			continue
		}
		name, err := m.replacedObject(ctx, t, h)
		switch {
		case pg.State(err) == "" && err != nil:
			return err
		case err != nil:
			m.warning("object-reference", t.Final.String()+"."+c.Shadow, fmt.Sprintf("whether the values of type %s name objects that the upgrade replaces could not be looked up (%v): they would go on naming the old ones", h.what, err),
				"make the column text, before the run or by a migration")
			return nil
		case name == "":
			continue
		}
		m.objectReference(t, c, h, name)
		return nil
	}
	return nil
}

func (m *task) objectReference(t *plans.Table, c plans.Column, h held, name string) {
	object := t.Final.String() + "." + c.Shadow
	if h.typ == "oid" {
		m.warning("object-reference", object, fmt.Sprintf("some numbers are those of objects that the upgrade replaces (%s, say): if that is what they mean, they go on naming the old ones", name),
			"see what the numbers mean; names in a text column outlive the upgrade")
		return
	}
	m.blocker("object-reference", object, fmt.Sprintf("values of type %s name objects that the upgrade replaces (%s, say): they would go on naming the old ones, and nothing once these are dropped", h.what, name),
		"make the column text before the run: ALTER TABLE … ALTER COLUMN "+pg.Ident(c.Shadow)+" TYPE text; or leave the table out by tables: {"+t.Production.String()+": {skip: true}}")
}

// replacedObject is one that a place names and that the swap replaces; empty:
// there is none. ACCESS SHARE on the table.
func (m *survey) replacedObject(ctx context.Context, t *plans.Table, h held) (name string, err error) {
	source := m.sourceOf(t)
	query := fmt.Sprintf(`SELECT o.name FROM %s AS %s%s
		JOIN (%s) AS o ON o.oid = held.value::pg_catalog.%s::pg_catalog.oid LIMIT 1`,
		source.Name.Quoted(), pg.Ident(source.Name.Name), h.value, replacedSQL(h.typ), h.typ)
	schemas, shared := m.file.Production.Schemas, []string{}
	for _, s := range m.plan.Shared {
		shared = append(shared, s.Name.Quoted())
	}
	err = pg.RepeatableRead(ctx, m.db, func(tx pgx.Tx) error {
		if err := bound(ctx, tx, m.plan.SearchPath, lookAtValues); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, query, schemas, shared)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if len(names) > 0 {
			name = names[0]
		}
		return err
	})
	return name, err
}

// bound gives a transaction that looks at production's values production's own
// search_path, and each of its statements a limit.
func bound(ctx context.Context, tx pgx.Tx, searchPath string, limit time.Duration) error {
	_, err := tx.Exec(ctx, `SELECT pg_catalog.set_config('statement_timeout', $1, true), pg_catalog.set_config('search_path', $2, true)`,
		fmt.Sprint(limit.Milliseconds()), searchPath)
	return err
}

// replacedSQL lists what values of a type may name and the swap replaces: all in
// the schemas $1 but members of extensions and what is shared, $2. A plain oid
// may be any of them.
func replacedSQL(typ string) string {
	if typ == "oid" {
		return replacedIn("pg_class") + " UNION ALL " + replacedIn("pg_proc") + " UNION ALL " + replacedIn("pg_type")
	}
	return replacedIn(plans.Referring[typ])
}

func replacedIn(catalog string) string { return plans.ReplacedIn(catalog, "$1", "$2") }
