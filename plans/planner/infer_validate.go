package planner

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// validate parses what copying will run, in scratch as production will be while
// the shadow stands beside it: production's tables are put back under their true
// names. Nothing is executed over rows.
func (m *draft) validate(ctx context.Context) error {
	if err := m.putBack(ctx); err != nil {
		return err
	}
	v := &validator{draft: m}
	var err error
	if v.db, err = v.open(ctx, m.plan.SearchPath); err != nil {
		return err
	}
	defer func() { _ = v.db.Close(context.WithoutCancel(ctx)) }()
	for i := range m.plan.Tables {
		if err := v.table(ctx, &m.plan.Tables[i]); err != nil {
			return err
		}
	}
	return v.queriesBack(ctx)
}

// putBack restores production's tables, with the types and functions they need,
// next to the shadow. What fails here is not needed, or shows in a transform.
func (m *trial) putBack(ctx context.Context) error {
	wanted := map[string]bool{"TYPE": true, "SHELL TYPE": true, "DOMAIN": true, "FUNCTION": true, "PROCEDURE": true, "AGGREGATE": true,
		"OPERATOR": true, "OPERATOR FAMILY": true, "OPERATOR CLASS": true, "COLLATION": true, "SEQUENCE": true, "TABLE": true, "VIEW": true,
		// a generated column's expression, to_tsvector(configuration, text)
		"TEXT SEARCH PARSER": true, "TEXT SEARCH TEMPLATE": true, "TEXT SEARCH DICTIONARY": true, "TEXT SEARCH CONFIGURATION": true}
	var entries []pgdump.Entry
	for _, e := range m.dump {
		if wanted[e.Tag] && m.moving(e.Schema) && !m.sharedNamed(e) {
			entries = append(entries, e)
		}
	}
	return m.scratch.quietly(ctx, func() error { return m.tryEntries(ctx, entries) })
}

func (m *trial) tryEntries(ctx context.Context, entries []pgdump.Entry) error {
	for group := range slices.Chunk(entries, entriesAtOnce) {
		var script strings.Builder
		for _, e := range group {
			script.WriteString(e.SQL + "\n;\n")
		}
		if pg.ExecScript(ctx, m.scratch.db, script.String()) == nil {
			continue
		}
		for _, e := range group {
			_ = runEntry(ctx, m.scratch.db, e)
		}
	}
	return ctx.Err()
}

func (m *task) sharedNamed(e pgdump.Entry) bool {
	return slices.ContainsFunc(m.plan.Shared, func(s plans.Shared) bool {
		return s.Name == pg.Name{Schema: e.Schema, Name: e.Name}
	})
}

// validator checks transforms on a session with production's search_path.
type validator struct {
	*draft
	db *pgx.Conn
}

func (v *validator) open(ctx context.Context, path string) (*pgx.Conn, error) {
	config, err := v.scratch.config("validate", path)
	if err != nil {
		return nil, err
	}
	pg.Set(config.RuntimeParams, v.session.Texts) // an expression's constants are read as its author's session reads them
	return pgx.ConnectConfig(ctx, config)
}

func (v *validator) table(ctx context.Context, t *plans.Table) error {
	switch t.Feed {
	case plans.Copied:
		return v.copied(ctx, t)
	case plans.Derived:
		return v.derived(ctx, t)
	}
	return nil
}

func (v *validator) copied(ctx context.Context, t *plans.Table) error {
	if err := v.prepare(ctx, copyText(t)); err != nil {
		if err := v.blame(ctx, t, err); err != nil {
			return err
		}
	}
	for i, c := range t.Columns {
		if c.Expression != "" && plainReference(c.Expression) == "" && !constant.MatchString(c.Expression) {
			var watched []pg.Name
			if c.Looks {
				watched = v.lookedUp(t)
			}
			if err := v.classify(ctx, t, v.object(t, t.Columns[i].Shadow), c.Expression, watched...); err != nil {
				return err
			}
		}
	}
	if t.Where != "" {
		if err := v.classify(ctx, t, v.object(t, ""), t.Where, v.filterReads(t)...); err != nil {
			return err
		}
	}
	syncKey(t)
	return v.reversed(ctx, t)
}

// syncKey: an expression that was spelt anew is the key's too.
func syncKey(t *plans.Table) {
	for i := range t.Key {
		for _, c := range t.Columns {
			if c.Shadow == t.Key[i].Shadow {
				t.Key[i].Expression = c.Expression
			}
		}
	}
}

var constant = regexp.MustCompile(`^(NULL|-?[0-9.]+|true|false|'([^'\\]|'')*')(::[a-z0-9_." ]+)?$`)

// prepare parses a statement on the server, no more.
func (v *validator) prepare(ctx context.Context, sql string) error {
	_, err := v.db.PgConn().Prepare(ctx, "", sql, nil)
	if err != nil && pg.State(err) == "" {
		return fmt.Errorf("check a transform: %w", err)
	}
	return err
}

// copyText is the statement that copies the table whole.
func copyText(t *plans.Table) string {
	names, values := writtenColumns(t)
	sql := "INSERT INTO " + t.Shadow.Quoted() + " (" + pg.Idents(names) + ") OVERRIDING SYSTEM VALUE SELECT " +
		strings.Join(values, ", ") + fromText(t)
	if len(names) == 0 {
		sql = "SELECT" + fromText(t)
	}
	if t.Where != "" {
		sql += " WHERE (" + t.Where + ")"
	}
	return sql
}

func writtenColumns(t *plans.Table) (names, values []string) {
	for _, c := range t.Columns {
		if !c.Generated && !c.Volatile {
			names, values = append(names, c.Shadow), append(values, c.Expression)
		}
	}
	return names, values
}

func fromText(t *plans.Table) string {
	return " FROM ONLY " + t.Production.Quoted() + " AS " + pg.Ident(t.Production.Name)
}

// blame finds which of a table's expressions the server refuses; one that names
// types or functions that only the shadow has is spelt anew.
func (v *validator) blame(ctx context.Context, t *plans.Table, cause error) error {
	if pg.State(cause) == "" {
		return cause
	}
	found := false
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Generated || c.Volatile {
			continue
		}
		one := *t
		one.Where, one.Columns = "", []plans.Column{*c}
		err := v.prepare(ctx, copyText(&one))
		if err == nil || v.throughText(ctx, t, c, err) || v.respell(ctx, t, c) {
			continue
		}
		if pg.State(err) == "" {
			return err
		}
		found = true
		v.invalid(t, c.Shadow, c.Expression, err)
	}
	if err := v.prepare(ctx, copyText(t)); err != nil && !found {
		v.invalid(t, "", t.Where, err)
	}
	return nil
}

// throughText: production's type and the shadow's of the same name are not the
// same type, and no cast leads from one to the other but the text of the value.
func (v *validator) throughText(ctx context.Context, t *plans.Table, c *plans.Column, cause error) bool {
	if pg.State(cause) != pgerrcode.DatatypeMismatch || !v.ofShadow(c.Type) {
		return false
	}
	value := c.Expression
	if plainReference(value) == "" {
		value = "(" + value + ")"
	}
	change := v.alteration(v.shadowColumn(t, c.Shadow).TypeOID)
	if change.inside != "" {
		v.find(plans.Finding{Level: plans.Blocker, Code: "type-altered", Object: v.object(t, c.Shadow), Where: v.naming(change.inside[strings.LastIndexByte(change.inside, '.')+1:]), Opaque: true,
			Message: fmt.Sprintf("its values hold some of type %s, which the migrations alter, and no cast leads from the old values to the new", change.inside),
			Fix:     "write the expression under tables: " + t.Final.String() + " columns:, building the new value out of the old one's parts"})
	}
	one := *t
	one.Where, one.Columns = "", []plans.Column{*c}
	one.Columns[0].Expression = change.text(value, c.Type)
	if v.prepare(ctx, copyText(&one)) != nil {
		return false
	}
	c.Expression = one.Columns[0].Expression
	return true
}

// ofShadow reports whether a type's text names a schema of the shadow.
func (v *validator) ofShadow(text string) bool {
	return slices.ContainsFunc(v.plan.Schemas, func(s plans.Schema) bool {
		return strings.HasPrefix(text, s.Shadow+".") || strings.HasPrefix(text, pg.Ident(s.Shadow)+".")
	})
}

// respell tries an expression of the plan file under the shadow's names, and
// keeps it as the server writes it, with every name qualified.
func (v *validator) respell(ctx context.Context, t *plans.Table, c *plans.Column) bool {
	path := v.plan.SearchPath
	for _, s := range v.plan.Schemas {
		path = pg.Ident(s.Shadow) + ", " + path
	}
	db, err := v.open(ctx, path)
	if err != nil {
		return false
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	if _, err := db.Exec(ctx, "CREATE TEMP VIEW pgumbra_respelt AS SELECT "+c.Expression+" AS pgumbra_value"+fromText(t)); err != nil {
		return false
	}
	var text string
	if _, err := db.Exec(ctx, "SET search_path = pg_catalog"); err != nil {
		return false
	}
	if err := db.QueryRow(ctx, "SELECT pg_get_viewdef('pg_temp.pgumbra_respelt'::regclass)").Scan(&text); err != nil {
		return false
	}
	text = strings.TrimPrefix(strings.TrimSpace(text), "SELECT ")
	end := strings.LastIndex(text, " AS pgumbra_value")
	if end < 0 {
		return false
	}
	one := *t
	one.Where, one.Columns = "", []plans.Column{*c}
	one.Columns[0].Expression = text[:end]
	if v.prepare(ctx, copyText(&one)) != nil {
		return false
	}
	c.Expression = text[:end]
	return true
}

func (v *validator) object(t *plans.Table, column string) string {
	if column == "" {
		return t.Final.String()
	}
	return t.Final.String() + "." + column
}

func (v *validator) invalid(t *plans.Table, column, expression string, err error) {
	v.find(plans.Finding{Level: plans.Blocker, Code: "transform-invalid", Object: v.object(t, column), Where: v.where(t, column),
		Message: fmt.Sprintf("the server refuses the expression %s: %s (SQLSTATE %s)", expression, serverMessage(err), pg.State(err)),
		Fix:     "correct it, or write one under tables: " + t.Final.String() + " columns:"})
}

// where is the line of the plan file that an expression stands on.
func (v *validator) where(t *plans.Table, column string) string {
	i := slices.IndexFunc(v.tables, func(d *tableDraft) bool { return d.plan.Final == t.Final })
	if i < 0 || !v.tables[i].ruled {
		return ""
	}
	r := v.tables[i].rules
	switch e, ok := r.Columns[column]; {
	case ok:
		return v.file.WhereLine(e.Line)
	case column == "" && r.Where.Line > 0:
		return v.file.WhereLine(r.Where.Line)
	case column == "" && r.From.Line > 0:
		return v.file.WhereLine(r.From.Line)
	}
	return ""
}

// classify looks into an expression as the server understood it: whether it reads
// tables that are not watched for it, or gives another value when it is computed again.
func (v *validator) classify(ctx context.Context, t *plans.Table, object, expression string, watched ...pg.Name) error {
	found, err := v.analyse(ctx, "SELECT ("+expression+")"+fromText(t))
	if err != nil || found == nil {
		return err
	}
	column := strings.TrimPrefix(strings.TrimPrefix(object, t.Final.String()), ".")
	others := slices.DeleteFunc(found.relations, func(n pg.Name) bool {
		return n == t.Production && !found.repeated || slices.Contains(watched, n)
	})
	if len(others) > 0 {
		v.find(plans.Finding{Level: plans.Blocker, Code: "transform-reads-tables", Object: object, Where: v.where(t, column),
			Message: fmt.Sprintf("the expression reads %s: a change there would not reach this row", others[0]),
			Fix:     "derive the table by from: and key:"})
	}
	v.unsteady(object, v.where(t, column), found)
	return nil
}

func (v *validator) unsteady(object, where string, found *analysis) {
	for _, f := range found.unsteady {
		v.find(plans.Finding{Level: plans.Blocker, Code: "transform-volatile", Object: object, Where: where,
			Message: fmt.Sprintf("the expression calls %s, whose value differs each time or depends on other tables", f),
			Fix:     "write an expression over the row alone; a constant for the time of the upgrade"})
	}
}

// analysis is what a query depends on.
type analysis struct {
	relations []pg.Name
	repeated  bool // some table is read twice
	unsteady  []string
}

// analyse makes a view of the query, in scratch, and reads what the server
// recorded. nil: the server refuses the query, which was said already.
func (v *validator) analyse(ctx context.Context, query string) (*analysis, error) {
	if _, err := v.db.Exec(ctx, "CREATE OR REPLACE TEMP VIEW pgumbra_analysed AS SELECT 1 AS one FROM ("+query+") AS q (value) WHERE value IS NOT NULL"); err != nil {
		if pg.State(err) == "" {
			return nil, err
		}
		return nil, nil
	}
	out := new(analysis)
	rows, err := v.db.Query(ctx, `SELECT DISTINCT n.nspname, c.relname
		FROM pg_catalog.pg_rewrite r
		JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
		JOIN pg_catalog.pg_class c ON d.refclassid = 'pg_catalog.pg_class'::regclass AND c.oid = d.refobjid AND c.oid <> r.ev_class
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE r.ev_class = 'pg_temp.pgumbra_analysed'::regclass AND c.relkind NOT IN ('S', 'c')`) // a field of a composite type's value depends on the type
	if err != nil {
		return nil, err
	}
	if out.relations, err = pgx.CollectRows(rows, pgx.RowToStructByPos[pg.Name]); err != nil {
		return nil, err
	}
	if err := v.db.QueryRow(ctx, repeatedSQL).Scan(&out.repeated); err != nil {
		return nil, err
	}
	rows, err = v.db.Query(ctx, unsteadySQL)
	if err != nil {
		return nil, err
	}
	out.unsteady, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return out, err
}

// repeatedSQL: some table has two entries in the range tables of the stored tree.
const repeatedSQL = `SELECT EXISTS (SELECT FROM pg_catalog.pg_rewrite r,
		pg_catalog.regexp_matches(r.ev_action::text, ':rtekind 0 :relid (\d+)', 'g') f
	WHERE r.ev_class = 'pg_temp.pgumbra_analysed'::regclass AND f[1]::oid <> r.ev_class
	GROUP BY f[1] HAVING count(*) > 1)`

// unsteadySQL finds, in the stored tree of the view, functions that are
// volatile, tell the time, or are the user's own and not immutable.
const unsteadySQL = `SELECT DISTINCT p.oid::regprocedure::text
	FROM pg_catalog.pg_rewrite r,
		pg_catalog.regexp_matches(r.ev_action::text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)', 'g') f
		JOIN pg_catalog.pg_proc p ON p.oid = f[1]::oid
	WHERE r.ev_class = 'pg_temp.pgumbra_analysed'::regclass
		AND (p.provolatile = 'v' OR p.proname IN ('now', 'transaction_timestamp', 'statement_timestamp') AND p.oid < 16384
			OR p.provolatile = 's' AND p.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
				WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'))
	UNION
	SELECT 'the current time or user' FROM pg_catalog.pg_rewrite r
	WHERE r.ev_class = 'pg_temp.pgumbra_analysed'::regclass AND r.ev_action::text ~ '{(SQLVALUEFUNCTION|NEXTVALUEEXPR)'`
