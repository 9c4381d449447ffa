package planner

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// copySQL is the statement that fills a shadow table; <from> and <to> are the
// chunk's pages.
func copySQL(p *plans.Plan, t *plans.Table) string {
	s := &p.Sources[t.Source]
	sql := intoShadow(p, t, rowsOf(p, t))
	if leaves := s.Leaves(); s.Kind == plans.Partitioned {
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

// intoShadow fills a shadow table out of production's rows: by one statement, or
// by a pipe between two databases.
func intoShadow(p *plans.Plan, t *plans.Table, from string) string {
	names, expressions, overriding := filled(t)
	columns := ""
	if len(names) > 0 {
		columns = " (" + pg.Idents(names) + ")"
	}
	query := fmt.Sprintf("SELECT %s\nFROM %s", strings.Join(expressions, "\n     , "), from)
	if p.Remote && len(names) == 0 {
		return fmt.Sprintf("SELECT count(*) FROM %s; -- in production\nINSERT INTO %s SELECT FROM generate_series(1, '<that many>'::bigint) -- on the shadow", from, t.Shadow.Quoted())
	}
	if p.Remote {
		return fmt.Sprintf("COPY (%s) TO STDOUT; -- in production, each value as the shadow column's type\nCOPY %s%s FROM STDIN -- on the shadow", query, t.Shadow.Quoted(), columns)
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
func replaySQL(p *plans.Plan, t *plans.Table) []string {
	if p.Remote && t.Feed == plans.Copied {
		return append(stagedSQL(t), appliedSQL(t)...)
	}
	return appliedSQL(t)
}

// stagedSQL is how changed rows come to another database.
func stagedSQL(t *plans.Table) []string {
	rows := fmt.Sprintf("pg_temp.pgumbra_%s_%d_rows", runID, t.N)
	return []string{
		fmt.Sprintf("CREATE TEMPORARY TABLE IF NOT EXISTS %s (…) -- on the shadow, of each session that replays", rows),
		fmt.Sprintf("COPY %s (…) FROM STDIN -- rows that changed, out of production", rows),
		fmt.Sprintf("TRUNCATE %s -- in the same transaction", rows),
	}
}

func appliedSQL(t *plans.Table) []string {
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

func swapSQL() []string {
	return []string{SlotVersion, SlotNames, SlotSuccession, control.Advancing(control.Cutover, control.Watching), "COMMIT"}
}

func validateSQL(p *plans.Plan) []string {
	var all []string
	for _, e := range p.Entries {
		if e.Stage != plans.StageSwap || e.Tag != "FK CONSTRAINT" {
			continue
		}
		all = append(all, fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", p.FinalName(e.Table).Quoted(), pg.Ident(plans.ConstraintName(e))))
	}
	return all
}
