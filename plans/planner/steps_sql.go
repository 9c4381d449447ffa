package planner

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

func onlyMembers(s *plans.Source) string {
	names := make([]string, len(s.Members))
	for i, m := range s.Members {
		names[i] = "ONLY " + m.Name.Quoted()
	}
	if len(names) == 0 {
		return "ONLY " + s.Name.Quoted()
	}
	return strings.Join(names, ", ")
}

// copySQL is the statement that fills a shadow table; <from> and <to> are the
// chunk's pages.
func copySQL(p *plans.Plan, t *plans.Table) string {
	s := &p.Sources[t.Source]
	sql := intoShadow(p, t, rowsOf(p, t))
	if leaves := countLeaves(s); s.Kind == plans.Partitioned {
		sql = fmt.Sprintf("-- for each of the %d partitions that hold rows\n%s", leaves, sql)
	}
	return sql
}

// rowsOf is what a chunk reads, from FROM on.
func rowsOf(p *plans.Plan, t *plans.Table) string {
	s := &p.Sources[t.Source]
	sql := "ONLY " + s.Name.Quoted() + " AS " + pg.Ident(s.Name.Name)
	var where []string
	if len(s.Key) > 0 {
		where = append(where, "ctid >= '<from>' AND ctid < '<to>'")
	}
	if t.Where != "" {
		where = append(where, "("+t.Where+"\n)")
	}
	if len(where) > 0 {
		sql += "\nWHERE " + strings.Join(where, "\n  AND ")
	}
	return sql
}

func countLeaves(s *plans.Source) int {
	n := 0
	for _, m := range s.Members {
		if m.Leaf {
			n++
		}
	}
	return n
}

// intoShadow fills a shadow table out of production's rows: by one statement, or
// by a pipe between two databases.
func intoShadow(p *plans.Plan, t *plans.Table, from string) string {
	names, expressions, overriding := filled(t)
	columns := ""
	if len(names) > 0 {
		columns = " (" + pg.Idents(names) + ")"
	}
	query := fmt.Sprintf("SELECT %s\nFROM %s", strings.Join(expressions, "\n     , "), from)
	if p.Remote {
		return fmt.Sprintf("COPY (%s) TO STDOUT -- in production, each value as the shadow column's type\nCOPY %s%s FROM STDIN -- on the shadow", query, t.Shadow.Quoted(), columns)
	}
	return fmt.Sprintf("INSERT INTO %s%s%s\n%s", t.Shadow.Quoted(), columns, overriding, query)
}

// filled are the columns that a copy writes, and what with.
func filled(t *plans.Table) (names, expressions []string, overriding string) {
	for _, c := range t.Columns {
		if c.Generated || c.Volatile || c.Expression == "" {
			continue
		}
		names, expressions = append(names, c.Shadow), append(expressions, c.Expression)
		if c.Identity {
			overriding = " OVERRIDING SYSTEM VALUE"
		}
	}
	return names, expressions, overriding
}

// replaySQL is how a batch reaches a table, in outline.
func replaySQL(t *plans.Table) []string {
	if t.Feed == plans.Derived {
		return []string{fmt.Sprintf("-- rows of %s whose sources changed are deleted and derived again", t.Shadow.Quoted())}
	}
	key := make([]string, len(t.Key))
	for i, k := range t.Key {
		key[i] = k.Shadow
	}
	journal := fmt.Sprintf("pgumbra.journal_%s_%d", runID, t.Source)
	switch {
	case len(key) == 0:
		return []string{fmt.Sprintf("-- rows of %s are added and taken away as images of whole rows, by count, out of %s", t.Shadow.Quoted(), journal)}
	case t.Upsert:
		return []string{fmt.Sprintf("DELETE FROM %s … USING %s -- keys that are gone", t.Shadow.Quoted(), journal),
			fmt.Sprintf("INSERT INTO %s … ON CONFLICT (%s) DO UPDATE … -- keys that changed", t.Shadow.Quoted(), pg.Idents(key))}
	}
	return []string{fmt.Sprintf("DELETE FROM %s … USING %s -- all keys that changed", t.Shadow.Quoted(), journal),
		fmt.Sprintf("INSERT INTO %s … -- as they are now", t.Shadow.Quoted())}
}

func fenceSQL(p *plans.Plan, mode string) []string {
	var names []string
	for i := range p.Sources {
		names = append(names, onlyMembers(&p.Sources[i]))
	}
	for i := range p.Tables {
		if t := &p.Tables[i]; t.Feed == plans.Skipped && !t.Production.IsZero() {
			names = append(names, "ONLY "+t.Production.Quoted())
		}
	}
	if v := p.VersionTable; v != nil && v.Exists {
		names = append(names, "ONLY "+v.Name.Quoted())
	}
	all := viewLocks(p)
	if len(names) > 0 {
		all = append(all, "LOCK TABLE "+strings.Join(names, ", ")+" IN "+mode+" MODE")
	}
	if len(all) == 0 {
		all = []string{"BEGIN"}
	}
	return append(all, sequenceLocks(p)...)
}

// viewLocks keep REFRESH away, before the fence.
func viewLocks(p *plans.Plan) []string {
	var all []string
	for _, v := range p.MaterializedViews() {
		if !v.Production.IsZero() {
			all = append(all, "COMMENT ON MATERIALIZED VIEW "+v.Production.Quoted()+" IS <its comment> -- changes nothing; REFRESH waits, readers do not; before the fence")
		}
	}
	return all
}

// sequenceLocks are those on sequences that go on in the shadow.
func sequenceLocks(p *plans.Plan) []string {
	var all []string
	lock := func(n pg.Name) {
		all = append(all, "ALTER SEQUENCE "+n.Quoted()+" OWNER TO <its owner> -- changes nothing; nextval and setval wait; before the tables where clients draw before they insert")
	}
	for _, s := range p.Shared {
		if s.Kind == "SEQUENCE" {
			lock(s.Name)
		}
	}
	for _, s := range p.Sequences {
		if !s.Production.IsZero() {
			lock(s.Production)
		}
	}
	return all
}

func sequenceSQL(p *plans.Plan) []string {
	var all []string
	for _, s := range p.Sequences {
		from := "<furthest value in use>"
		if !s.Production.IsZero() {
			from = "<last value of " + s.Production.String() + ">"
			all = append(all, "ALTER SEQUENCE "+s.Production.Quoted()+" … NO CYCLE -- hands out nothing more, but to calls that wait already",
				"ALTER SEQUENCE "+s.Shadow.Quoted()+" RESTART")
		}
		if s.Set {
			from = fmt.Sprintf("%d, %t -- as the migrations do, or <last value of %s> where clients have drawn further", s.LastValue, s.IsCalled, s.Production)
		}
		all = append(all, fmt.Sprintf("SELECT setval(%s, %s)", pg.Literal(s.Shadow.Quoted()), from))
	}
	return all
}

func guardSQL(p *plans.Plan) []string {
	var all []string
	if p.Reversible() {
		all = append(all, "SELECT … -- looks that the triggers of the reverse capture, made before the fence, are on the new tables")
	}
	return append(all, closeSQL(p)...)
}

// closeSQL ends the capture of the old tables and refuses writes to them.
func closeSQL(p *plans.Plan) []string {
	var all []string
	for i := range p.Sources {
		for _, m := range p.Sources[i].Members {
			all = append(all, fmt.Sprintf("ALTER TABLE ONLY %s DISABLE TRIGGER … -- those of capture", m.Name.Quoted()),
				fmt.Sprintf("CREATE TRIGGER pgumbra_fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION pgumbra.fence_%s(%s)",
					m.Name.Quoted(), runID, pg.Literal(m.Name.String())))
		}
	}
	return all
}

// sharedSQL moves what both sides share. A sequence that a column owns is let
// go before and bound to the new column after.
func sharedSQL(p *plans.Plan) (before, after []string) {
	for _, s := range p.Shared {
		schema, ok := p.SchemaFor(s.Name.Schema)
		if !ok {
			continue
		}
		if s.Kind == "SEQUENCE" && !s.OwnedByTable.IsZero() {
			before = append(before, "ALTER SEQUENCE "+s.Name.Quoted()+" OWNED BY NONE")
			after = append(after, fmt.Sprintf("ALTER SEQUENCE %s OWNED BY %s.%s", s.Name.Quoted(), s.OwnedByTable.Quoted(), pg.Ident(s.OwnedByColumn)))
		}
		before = append(before, s.SetSchema(schema.Production, schema.Shadow))
	}
	return before, after
}

func swapSQL(p *plans.Plan) []string {
	all, after := sharedSQL(p)
	for _, s := range p.Schemas {
		if s.Swap == plans.Move {
			all = append(all, fmt.Sprintf("-- %s holds more than what moves: what else is in it goes along, or each object of ours is moved by ALTER … SET SCHEMA %s", s.Production, pg.Ident(s.Old)))
			continue
		}
		all = append(all, fmt.Sprintf("ALTER SCHEMA %s RENAME TO %s", pg.Ident(s.Production), pg.Ident(s.Old)),
			fmt.Sprintf("ALTER SCHEMA %s RENAME TO %s", pg.Ident(s.Shadow), pg.Ident(s.Production)))
	}
	all = append(append(all, after...), versionSQL(p)...)
	return append(all, control.Advancing(control.Cutover, control.Watching), "COMMIT")
}

func versionSQL(p *plans.Plan) []string {
	v := p.VersionTable
	if v == nil || p.ToVersion == nil {
		return nil
	}
	all := []string{"DELETE FROM " + v.Name.Quoted(), fmt.Sprintf("INSERT INTO %s (version, dirty) VALUES (%d, false)", v.Name.Quoted(), *p.ToVersion)}
	if v.Exists {
		return all
	}
	return append([]string{fmt.Sprintf("CREATE TABLE %s (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)", v.Name.Quoted())}, all...)
}

func validateSQL(p *plans.Plan) []string {
	var all []string
	for _, e := range p.Entries {
		if e.Stage != plans.StageSwap || e.Tag != "FK CONSTRAINT" {
			continue
		}
		all = append(all, fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", p.Final(e.Table).Quoted(), pg.Ident(plans.ConstraintName(e))))
	}
	return all
}

func dropSQL(p *plans.Plan) []string {
	var all []string
	for _, s := range p.Schemas {
		all = append(all, fmt.Sprintf("DROP SCHEMA %s CASCADE -- only with --drop-old", pg.Ident(s.Old)))
	}
	return all
}
