package planner

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// Copy, replay and verification evaluate transforms in sessions whose text
// formats are pinned, since keys and images of rows depend on them. An expression
// of the user's means what it means in a session of production, or under what the
// migrations themselves SET. Where that differs, and the expression depends on
// it, it is put into a function with these settings, which our sessions call.

// settler gives expressions their settings.
type settler struct {
	*validator
	work map[string]string // what is in force where transforms are evaluated
	n    int
}

// settle wraps the expressions that need it. Last of all that read expressions.
func (m *draft) settle(ctx context.Context) error {
	v := &validator{draft: m}
	var err error
	if v.db, err = v.open(ctx, m.plan.SearchPath); err != nil {
		return err
	}
	defer func() { _ = v.db.Close(context.WithoutCancel(ctx)) }()
	if _, err := v.db.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS pgumbra; SET check_function_bodies = on"); err != nil {
		return fmt.Errorf("prepare transforms' functions: %w", err)
	}
	s := &settler{validator: v, work: m.workSettings()}
	for i := range m.plan.Tables {
		if err := s.tableOf(ctx, &m.plan.Tables[i]); err != nil {
			return err
		}
	}
	return nil
}

// workSettings are those of the sessions that copy, replay and verify.
func (m *survey) workSettings() map[string]string {
	all := maps.Clone(m.session.Texts)
	for name := range all {
		if pinned, ok := pg.Pinned(name); ok {
			all[name] = pinned
		}
		if own, ok := m.plan.Session[name]; ok {
			all[name] = own
		}
	}
	return all
}

func (s *settler) tableOf(ctx context.Context, t *plans.Table) error {
	d := s.tables[slices.IndexFunc(s.tables, func(d *tableDraft) bool { return d.plan.Final == t.Final })]
	if err := s.generated(ctx, t, d); err != nil {
		return err
	}
	switch t.Feed {
	case plans.Derived:
		s.derivedTable(t)
		return nil
	case plans.Copied:
	default:
		return nil
	}
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Generated || c.Volatile || c.Expression == "" {
			continue
		}
		num, _ := d.final.ColumnNamed(c.Shadow)
		own := d.feed.Columns[num.Num].Settings
		if c.Origin == plans.FromPlan {
			own = s.session.Texts
		}
		call, err := s.wrapped(ctx, t, d.source.before, s.object(t, c.Shadow), c.Expression, c.Type, own)
		if err != nil {
			return err
		}
		if call != "" {
			c.Means, c.Expression = c.Expression, call
			s.keepOld(t, d, c.Shadow, own)
		}
	}
	syncKey(t)
	return s.filter(ctx, t, d)
}

// keepOld gives up the way back of what was made under settings of a migration's own: it
// would be unmade under production's, silently as another value. A date whose text has the
// month first came back as another day, a time of another zone some hours off. The old
// side keeps what it has of such a column; a key among them, and no row is found again.
func (s *settler) keepOld(t *plans.Table, d *tableDraft, column string, own map[string]string) {
	session := s.session.Texts
	if !slices.ContainsFunc(slices.Collect(maps.Keys(s.differing(own))), func(name string) bool { return normal(name, own[name]) != normal(name, session[name]) }) {
		return
	}
	for i := range t.Reverse {
		r := &t.Reverse[i]
		if r.Origin == plans.FromPlan || r.Expression == "" || !slices.Contains(columnsRead(r.Expression, d.final), column) {
			continue
		}
		if keyed(d.source, r.Shadow) {
			t.Reverse = nil
			return
		}
		r.Expression, r.Loss = "", ""
	}
}

func (s *settler) filter(ctx context.Context, t *plans.Table, d *tableDraft) error {
	if t.Where == "" {
		return nil
	}
	own := d.feed.Settings
	if d.ruled && d.rules.Where.SQL != "" {
		own = s.session.Texts
	}
	call, err := s.wrapped(ctx, t, d.source.before, s.object(t, ""), t.Where, "boolean", own)
	if err == nil && call != "" {
		t.Where = call
	}
	return err
}

// wrapped is the call that stands for an expression; empty: the expression
// itself means the same in our sessions.
func (s *settler) wrapped(ctx context.Context, t *plans.Table, source *catalog.Table, object, expression, typ string, own map[string]string) (string, error) {
	differing := s.differing(own)
	if len(differing) == 0 || s.sameAsSource(source, expression, typ) {
		return "", nil
	}
	depends, err := s.depends(ctx, "SELECT CAST(("+expression+"\n) AS "+typ+")"+fromText(t))
	if err != nil || !depends {
		return "", err
	}
	s.n++
	f := plans.Transform{Name: pg.Name{Schema: "pgumbra", Name: fitName(fmt.Sprintf("transform_%s_%d", runWord(s.plan.Run), s.n))}}
	f.SQL = transformSQL(f.Name, source, expression, typ, differing)
	if _, err := s.db.Exec(ctx, f.SQL); err != nil {
		if pg.State(err) == "" {
			return "", err
		}
		s.blocker("session-settings", object, fmt.Sprintf("the expression %s depends on %s, and it cannot be put into a function that sets them: %s",
			expression, listSettings(differing), serverMessage(err)), "write an expression over the columns by name that does not depend on the session's settings")
		return "", nil
	}
	s.plan.Transforms = append(s.plan.Transforms, f)
	s.info("session-settings", object, fmt.Sprintf("%s is evaluated under %s, as in place", expression, listSettings(differing)), "")
	return f.Name.Quoted() + "(" + pg.Idents(columnsRead(expression, source)) + ")", nil
}

// sameAsSource: the column is copied as it is.
func (s *settler) sameAsSource(source *catalog.Table, expression, typ string) bool {
	c, ok := source.ColumnNamed(plainReference(expression))
	return ok && c.Type == typ && pg.Ident(c.Name) == expression
}

// differing are the settings that an expression means and our sessions lack.
func (s *settler) differing(own map[string]string) map[string]string {
	out := map[string]string{}
	for name, value := range own {
		if normal(name, value) != normal(name, s.work[name]) {
			out[name] = value
		}
	}
	return out
}

// normal makes equal what means the same: from 1 on, floats are written exactly.
func normal(name, value string) string {
	if name == "extra_float_digits" && !strings.HasPrefix(value, "-") && value != "0" {
		return "1"
	}
	return value
}

func listSettings(all map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+" = "+all[name])
	}
	return strings.Join(list, ", ")
}

// transformSQL makes the function: over the columns that the expression names,
// which it finds as a row of the table.
func transformSQL(name pg.Name, source *catalog.Table, expression, typ string, settings map[string]string) string {
	var types, columns []string
	for i, read := range columnsRead(expression, source) {
		c, _ := source.ColumnNamed(read)
		types = append(types, c.Type)
		columns = append(columns, fmt.Sprintf("$%d AS %s", i+1, pg.Ident(c.Name)))
	}
	sql := "CREATE FUNCTION " + name.Quoted() + "(" + strings.Join(types, ", ") + ") RETURNS " + typ + " LANGUAGE sql STABLE PARALLEL SAFE"
	for _, s := range slices.Sorted(maps.Keys(settings)) {
		sql += " SET " + pg.Ident(s) + " TO " + pg.Literal(settings[s])
	}
	return sql + " AS " + pg.Literal("SELECT ("+expression+"\n) FROM (SELECT "+strings.Join(columns, ", ")+") AS "+pg.Ident(source.Name.Name))
}

// depends reports whether what a query gives may be another under other
// settings: by functions that are not IMMUTABLE, by values that pass through
// their text, by constants whose text a setting reads. A query that the server
// refuses under ours may pass under its own.
func (s *settler) depends(ctx context.Context, query string) (depends bool, err error) {
	if _, err := s.db.Exec(ctx, "CREATE OR REPLACE TEMP VIEW pgumbra_analysed AS SELECT 1 AS one FROM ("+query+") AS q (value) WHERE value IS NOT NULL"); err != nil {
		if pg.State(err) == "" {
			return false, err
		}
		return true, nil
	}
	err = s.db.QueryRow(ctx, dependsSQL).Scan(&depends)
	if err != nil {
		return false, fmt.Errorf("look into a transform: %w", err)
	}
	return depends, nil
}

const dependsSQL = `SELECT r.ev_action::text ~ '\{(COERCEVIAIO|SQLVALUEFUNCTION|XMLEXPR) '
	OR EXISTS (SELECT FROM pg_catalog.regexp_matches(r.ev_action::text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)', 'g') f
		LEFT JOIN pg_catalog.pg_proc p ON p.oid = f[1]::oid
		WHERE f[1] <> '0' AND (p.oid IS NULL OR p.oid >= 16384 OR p.provolatile <> 'i'))
	OR EXISTS (SELECT FROM pg_catalog.regexp_matches(r.ev_action::text, ':consttype (\d+)', 'g') f
		LEFT JOIN pg_catalog.pg_type y ON y.oid = f[1]::oid
		WHERE y.oid IS NULL OR y.typcategory IN ('A', 'D', 'T', 'R', 'C') OR y.typname IN ('money', 'xml'))
	FROM pg_catalog.pg_rewrite r WHERE r.ev_class = 'pg_temp.pgumbra_analysed'::pg_catalog.regclass`

// derivedTable: a query of the plan file is evaluated as it stands.
func (s *settler) derivedTable(t *plans.Table) {
	if differing := s.differing(s.session.Texts); len(differing) > 0 {
		s.find(plans.Finding{Level: plans.Warning, Code: "session-settings", Object: t.Final.String(), Where: s.where(t, ""),
			Message: "a session of production has " + listSettings(differing) + "; the query of from: is evaluated under " + listSettings(s.of(differing)),
			Fix:     "write the query so that it does not depend on them: to_char, encode, AT TIME ZONE"})
	}
}

func (s *settler) of(names map[string]string) map[string]string {
	out := map[string]string{}
	for name := range names {
		out[name] = s.work[name]
	}
	return out
}

// generated: the server computes these columns, in our sessions.
func (s *settler) generated(ctx context.Context, t *plans.Table, d *tableDraft) error {
	differing := s.differing(s.session.Texts)
	if len(differing) == 0 || t.Feed != plans.Copied && t.Feed != plans.Derived {
		return nil
	}
	for _, c := range d.final.Columns {
		if c.Generated == "" {
			continue
		}
		depends, err := s.depends(ctx, "SELECT ("+c.Default+") FROM ONLY "+t.Shadow.Quoted())
		if err != nil {
			return err
		}
		if depends {
			s.blocker("session-settings", s.object(t, c.Name), "the column is generated by "+c.Default+", and a session of production has "+listSettings(differing)+": computed by ours, its values would be other ones",
				"ALTER DATABASE or ALTER ROLE … RESET them for the time of the run, or generate the column by an expression that does not depend on them")
		}
	}
	return nil
}
