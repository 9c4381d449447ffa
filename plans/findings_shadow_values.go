package plans

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// referring are the types whose values are an object's number and are written as
// its name, with the catalog that holds such objects. Roles are left out: they
// bear their names on the shadow's server before anything is copied.
var referring = map[string]string{
	"regclass": "pg_class", "regproc": "pg_proc", "regprocedure": "pg_proc", "regoper": "pg_operator", "regoperator": "pg_operator",
	"regtype": "pg_type", "regnamespace": "pg_namespace", "regconfig": "pg_ts_config", "regdictionary": "pg_ts_dict", "regcollation": "pg_collation",
}

// numbering are the types whose values mean something on one server only.
var numbering = map[string]string{
	"oid": "an object's number", "xid": "a transaction's number", "xid8": "a transaction's number", "cid": "a command's number",
	"tid": "a row's place in its file", "pg_lsn": "a place in the server's log", "pg_snapshot": "a snapshot", "txid_snapshot": "a snapshot",
}

// valuesOfOneServer finds columns that hold what another server does not know.
func (m *maker) valuesOfOneServer(ctx context.Context) error {
	for i := range m.plan.Tables {
		t := &m.plan.Tables[i]
		if t.Feed != Copied {
			continue
		}
		for _, c := range t.Columns {
			if err := m.valueOfOneServer(ctx, t, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *maker) valueOfOneServer(ctx context.Context, t *Table, c Column) error {
	element, isArray := strings.CutSuffix(strings.TrimPrefix(c.Type, "pg_catalog."), "[]")
	object := t.Final.String() + "." + c.Shadow
	if what := numbering[element]; what != "" && c.Expression != "" {
		m.warning("server-numbers", object, fmt.Sprintf("type %s holds %s, which is copied as it is and means something else, or nothing, on the shadow's server: numbers there may be smaller than those that the column holds", c.Type, what),
			"see that nothing compares it with what the server says of itself")
	}
	if referring[element] == "" || c.Expression == "" {
		return nil
	}
	names, err := m.namesObjects(ctx, t, c, element, isArray)
	switch {
	case pg.State(err) == "" && err != nil:
		return err
	case err != nil:
		m.warning("object-reference", object, fmt.Sprintf("whether the values of type %s name objects of yours could not be looked up (%v); the shadow's database does not have them before the cutover, and the copy would fail", c.Type, err),
			"make the column text, before the run or by a migration")
	case names:
		m.blocker("object-reference", object, fmt.Sprintf("values of type %s name objects of yours, which the shadow's database does not have before the cutover: the copy would fail", c.Type),
			"make the column text, before the run or by a migration: ALTER TABLE … ALTER COLUMN "+pg.Ident(c.Shadow)+" TYPE text")
	}
	return nil
}

// lookAtValues is how long one column is read at the most.
const lookAtValues = 10 * time.Second

// namesObjects asks production whether a column holds a number that initdb did
// not give, nor an extension's object, which the shadow has by its name. ACCESS
// SHARE for [lookAtValues] at the most; past that an error with a SQLSTATE.
func (m *maker) namesObjects(ctx context.Context, t *Table, c Column, element string, isArray bool) (names bool, err error) {
	source := &m.plan.Sources[slices.IndexFunc(m.plan.Sources, func(s Source) bool { return s.N == t.Source })]
	values := "(VALUES (" + c.Expression + "\n))"
	if isArray {
		values = "pg_catalog.unnest(" + c.Expression + "\n)"
	}
	query := fmt.Sprintf(`SELECT EXISTS (SELECT FROM %s AS %s CROSS JOIN LATERAL %s AS held (value)
		WHERE held.value::pg_catalog.%s::pg_catalog.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
			WHERE d.classid = 'pg_catalog.%s'::pg_catalog.regclass AND d.objid = held.value::pg_catalog.%[4]s::pg_catalog.oid AND d.deptype = 'e'))`,
		source.Name.Quoted(), pg.Ident(source.Name.Name), values, element, referring[element])
	err = pg.RepeatableRead(ctx, m.db, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT pg_catalog.set_config('statement_timeout', $1, true), pg_catalog.set_config('search_path', $2, true)`,
			fmt.Sprint(lookAtValues.Milliseconds()), m.plan.SearchPath)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, query).Scan(&names)
	})
	return names, err
}
