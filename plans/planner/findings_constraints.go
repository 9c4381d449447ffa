package planner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// A constraint that the migrations add is asked of production's rows, through the
// plan's own expressions: one that they break fails in place, too, and otherwise
// would fail hours into a run. A question that is not answered in probeTime is
// left to the sample and to the run.
const (
	probeTime  = time.Second
	probesTime = 10 * time.Second // all together
)

// probe is a new constraint and the query for one key that breaks it.
type probe struct {
	object string // what people call it
	table  pg.Name
	words  []string // by which its statement is found
	also   []string // those that it has beside them, which another statement of the same column lacks
	state  string   // SQLSTATE in place
	sql    string   // empty: production cannot be asked
	breaks string   // what is said instead of one row's key; empty: its key is
}

func newProbe(object string, table pg.Name, words []string, state, sql string) probe {
	return probe{object: object, table: table, words: words, state: state, sql: sql}
}

// saying adds words that tell the statement from another one that names the same.
func (q probe) saying(words ...string) probe {
	q.also = words
	return q
}

// probeConstraints asks production. ACCESS SHARE on the tables, for probeTime at
// the most each.
func (m *draft) probeConstraints(ctx context.Context) error {
	if !m.asksRows() {
		return nil
	}
	until := time.Now().Add(probesTime)
	var proved, open []string
	for _, q := range m.probes(ctx) {
		var (
			key      string
			answered bool
			err      error
		)
		if q.sql != "" && time.Now().Before(until) {
			if key, answered, err = m.askRows(ctx, probeTime, q.sql); err != nil {
				return err
			}
		}
		switch {
		case key != "":
			m.find(plans.Finding{Level: plans.Blocker, Code: "constraint-violated", Object: q.object, Where: m.namingOf(slices.Concat(q.words, q.also), q.words),
				Message: fmt.Sprintf("rows that production holds break what the migrations add: %s. In place it fails (SQLSTATE %s)", cmp.Or(q.breaks, fmt.Sprintf("in %s that with %s, say", q.table, key)), q.state),
				Fix:     "correct the rows in production, or the migration"})
		case answered:
			proved = append(proved, q.object)
		default:
			open = append(open, q.object)
		}
	}
	m.tellProbes(proved, open)
	return nil
}

// asksRows: there are migrations before the fence whose result is known. Where they fail
// on the sample it is, too: the server says what a row breaks, and seldom which one it is.
func (m *draft) asksRows() bool {
	if m.migrations == nil || m.plan.ToVersion == nil {
		return false
	}
	_, more := m.earlier()
	return !more
}

func (m *survey) tellProbes(proved, open []string) {
	var told []string
	if len(proved) > 0 {
		told = append(told, "all of production's rows satisfy "+listed(proved))
	}
	if len(open) > 0 {
		how := "no rows were looked at for "
		if m.file.Scratch.Rows > 0 {
			how = "only the sample was looked at for "
		}
		told = append(told, how+listed(open)+" (more would have taken too long, or the question cannot be put to production); the run checks all rows before the cutover")
	}
	if len(told) > 0 {
		m.info("new-constraints", m.session.Database, "of the constraints that the migrations add, "+strings.Join(told, "; "), "")
	}
}

func listed(all []string) string {
	const shown = 8
	if len(all) > shown {
		return strings.Join(all[:shown], ", ") + fmt.Sprintf(" and %d more", len(all)-shown)
	}
	return strings.Join(all, ", ")
}

// askRows reads one text from production, under the settings of its sessions.
// Not answered: it took too long, or the server refuses the question.
func (m *survey) askRows(ctx context.Context, limit time.Duration, query string) (text string, answered bool, err error) {
	err = m.asClient(ctx, limit, func(tx pgx.Tx) error { return tx.QueryRow(ctx, query).Scan(&text) })
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", true, nil
	case pg.State(err) != "" && !pg.Unreachable(err):
		return "", false, nil
	}
	return text, true, err
}

// asClient reads production at one snapshot, under the settings of its sessions.
func (m *survey) asClient(ctx context.Context, limit time.Duration, read func(pgx.Tx) error) error {
	return pg.RepeatableRead(ctx, m.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET TRANSACTION READ ONLY"); err != nil {
			return err
		}
		if err := bound(ctx, tx, m.plan.SearchPath, limit); err != nil {
			return err
		}
		for name, value := range m.session.Texts {
			if _, err := tx.Exec(ctx, `SELECT pg_catalog.set_config($1, $2, true)`, name, value); err != nil {
				return err
			}
		}
		return read(tx)
	})
}

// probes are the questions, in the order of the tables.
func (m *draft) probes(ctx context.Context) []probe {
	var all []probe
	for _, d := range m.tables {
		t := m.planned(d)
		if t == nil || !m.asked(d, t) {
			continue
		}
		all = append(all, m.notNulls(d, t)...)
		all = append(all, m.checks(d, t)...)
		all = append(all, m.uniques(d, t)...)
		all = append(all, m.uniquesComputed(ctx, d, t)...)
		all = append(all, m.bounds(ctx, d, t)...)
		all = append(all, m.exclusions(ctx, d, t)...)
		all = append(all, m.numbers(ctx, d, t)...)
	}
	for _, k := range m.after.Constraints {
		if k.Kind == "f" && k.Parent == 0 && k.Validated && !m.guaranteed(k) {
			all = append(all, m.reference(k)...)
		}
	}
	return all
}

// asked: the table's rows are production's, and there are some.
func (m *draft) asked(d *tableDraft, t *plans.Table) bool {
	return t.Feed == plans.Copied && !m.doubted(t) && d.source != nil && (d.source.production.Kind != "r" || d.source.production.Bytes > 0)
}

// planned is a table as the plan has it by now.
func (m *task) planned(d *tableDraft) *plans.Table {
	i := slices.IndexFunc(m.plan.Tables, func(t plans.Table) bool { return t.Final == d.plan.Final })
	if i < 0 {
		return nil
	}
	return &m.plan.Tables[i]
}

// rowsOf selects some of a table's columns from production as the plan makes
// them, and the key of production's row. Not ok: some are made by the server.
func (m *lineage) rowsOf(t *plans.Table, columns []string) (sql string, ok bool) {
	after := m.after.ByName(t.Final)
	source := m.plan.Sources[t.Source]
	list := []string{m.keyText(t) + " AS pgumbra_key"}
	for _, name := range columns {
		i := slices.IndexFunc(t.Columns, func(c plans.Column) bool { return c.Shadow == name })
		a, found := after.ColumnNamed(name)
		if i < 0 || !found || t.Columns[i].Expression == "" || t.Columns[i].Means != "" {
			return "", false
		}
		value := "(" + t.Columns[i].Expression + "\n)"
		if c, own := m.production.ByName(t.Production).ColumnNamed(plainReference(t.Columns[i].Expression)); !own || c.Type != a.Type {
			value = "CAST(" + value + " AS " + a.Type + ")"
		}
		list = append(list, value+" AS "+pg.Ident(name))
	}
	sql = "SELECT " + strings.Join(list, ", ") + wholeTree(fromText(t), source.Kind)
	if t.Where != "" {
		sql += " WHERE (" + t.Where + "\n)"
	}
	return sql, true
}

// keyText is the key of a production row as people read it, SQL over that row.
func (m *lineage) keyText(t *plans.Table) string {
	alias := pg.Ident(t.Production.Name)
	keys := []string{}
	for _, k := range m.plan.Sources[t.Source].Key {
		keys = append(keys, pg.Literal(k.Name+" = ")+" || "+alias+"."+pg.Ident(k.Name)+"::text")
	}
	if len(keys) == 0 {
		keys = []string{"'ctid = ' || " + alias + ".ctid::text"}
	}
	return "concat_ws(', ', " + strings.Join(keys, ", ") + ")"
}

func (m *draft) notNulls(d *tableDraft, t *plans.Table) (all []probe) {
	for _, a := range d.after.Columns {
		i := slices.IndexFunc(t.Columns, func(c plans.Column) bool { return c.Shadow == a.Name })
		if !a.NotNull || i < 0 || t.Columns[i].Generated || t.Columns[i].Volatile {
			continue
		}
		e := t.Columns[i].Expression
		if c, own := d.source.production.ColumnNamed(plainReference(e)); own && c.NotNull || constant.MatchString(e) && !strings.HasPrefix(e, "NULL") {
			continue
		}
		if rows, ok := m.rowsOf(t, []string{a.Name}); ok {
			all = append(all, newProbe(t.Final.String()+"."+a.Name, t.Production, []string{t.Final.Name, a.Name}, pgerrcode.NotNullViolation,
				"SELECT pgumbra_key FROM ("+rows+") AS r WHERE "+pg.Ident(a.Name)+" IS NULL LIMIT 1").saying("table", "not", "null"))
		}
	}
	return all
}

func columnNames(t *catalog.Table, nums []int16) []string {
	var names []string
	for _, n := range nums {
		c, _ := t.Column(n)
		names = append(names, c.Name)
	}
	return names
}

func (m *lineage) checks(d *tableDraft, t *plans.Table) (all []probe) {
	for _, k := range m.after.Constraints {
		if k.Kind != "c" || k.Table != d.after.OID || !k.Validated || m.hadCheck(k) {
			continue
		}
		rows, ok := m.rowsOf(t, columnNames(d.after, k.Columns))
		text, isCheck := strings.CutPrefix(k.Definition, "CHECK ")
		if ok && isCheck {
			all = append(all, newProbe(t.Final.String()+"."+k.Name, t.Production, []string{t.Final.Name, "check"}, pgerrcode.CheckViolation,
				"SELECT pgumbra_key FROM ("+rows+") AS "+pg.Ident(t.Final.Name)+" WHERE NOT "+strings.TrimSuffix(text, " NO INHERIT")+" LIMIT 1"))
		}
	}
	return all
}

// hadCheck: production holds to the same condition over the same values.
func (m *lineage) hadCheck(k *catalog.Constraint) bool {
	return m.asItWas(k.Table, k.Columns) && slices.ContainsFunc(m.before.Constraints, func(b *catalog.Constraint) bool {
		return b.Kind == "c" && b.Table == k.Table && b.Validated && b.Definition == k.Definition && slices.Equal(b.Columns, k.Columns)
	})
}

func (m *lineage) uniques(d *tableDraft, t *plans.Table) (all []probe) {
	for _, i := range m.after.IndexesOf(d.after.OID) {
		if !i.Unique || i.Partial || i.Expression || i.Exclusion || m.wasUnique(i) {
			continue
		}
		names := columnNames(d.after, i.Columns())
		rows, ok := m.rowsOf(t, names)
		if !ok {
			continue
		}
		all = append(all, newProbe(t.Final.String()+"."+i.Name.Name, t.Production, []string{t.Final.Name, names[0]}, pgerrcode.UniqueViolation,
			twins(rows, "r", allNotNull("", names), pg.Idents(names))).saying("unique"))
	}
	return all
}

// twins is the query for the key of a row that has a twin by some expressions.
func twins(rows, as, where, by string) string {
	return "SELECT min(pgumbra_key) FROM (" + rows + ") AS " + as + " WHERE " + where + " GROUP BY " + by + " HAVING count(*) > 1 LIMIT 1"
}

// wasUnique: production holds to it for the same values.
func (m *lineage) wasUnique(i *catalog.Index) bool {
	same := func(b *catalog.Index) bool {
		return b.Unique && b.Valid && !b.Partial && !b.Expression && slices.Equal(b.Columns(), i.Columns())
	}
	return m.asItWas(i.Table, i.Columns()) && slices.ContainsFunc(m.before.IndexesOf(i.Table), same)
}

func allNotNull(alias string, names []string) string {
	var all []string
	for _, n := range names {
		all = append(all, alias+pg.Ident(n)+" IS NOT NULL")
	}
	return strings.Join(all, " AND ")
}

func (m *lineage) reference(k *catalog.Constraint) []probe {
	child, parent := m.after.ByOID(k.Table), m.after.ByOID(k.References)
	if child == nil || parent == nil {
		return nil
	}
	names, refNames := columnNames(child, k.Columns), columnNames(parent, k.RefColumns)
	rows, ok := m.rowsAfter(child, names)
	refRows, both := m.rowsAfter(parent, refNames)
	if !ok || !both {
		return nil
	}
	var on []string
	for i := range names {
		on = append(on, "p."+pg.Ident(refNames[i])+" = c."+pg.Ident(names[i]))
	}
	return []probe{newProbe(child.Name.String()+"."+k.Name, child.Name, []string{child.Name.Name, parent.Name.Name}, pgerrcode.ForeignKeyViolation,
		"SELECT c.pgumbra_key FROM ("+rows+") AS c WHERE "+allNotNull("c.", names)+" AND NOT EXISTS (SELECT FROM ("+refRows+") AS p WHERE "+strings.Join(on, " AND ")+") LIMIT 1").saying("references")}
}

// rowsAfter selects a table's rows as they will be; one that does not move has
// them now.
func (m *lineage) rowsAfter(t *catalog.Table, columns []string) (sql string, ok bool) {
	d := m.draft(m.after.Root(t).OID)
	if d == nil {
		return "SELECT '' AS pgumbra_key, " + pg.Idents(columns) + " FROM " + t.Name.Quoted(), m.production.ByName(t.Name) != nil
	}
	p := m.planned(d)
	if p == nil || p.Feed != plans.Copied || m.doubted(p) {
		return "", false
	}
	return m.rowsOf(p, columns)
}

// bounds asks for rows that no partition takes, where a tree is new. Partitions
// by hash take all rows or are known only by the tree's number.
func (m *draft) bounds(ctx context.Context, d *tableDraft, t *plans.Table) []probe {
	if b := m.before.ByOID(d.after.OID); d.after.Kind != "p" || b != nil && b.Kind == "p" {
		return nil
	}
	var leaves []uint32
	for _, l := range m.after.Tables {
		if l.PartitionOf == d.after.OID && l.Kind == "r" {
			leaves = append(leaves, l.OID)
		}
	}
	var bounds []string
	err := m.scratch.db.QueryRow(ctx, `SELECT coalesce(array_agg(coalesce(pg_get_partition_constraintdef(o), 'true')), '{}') FROM unnest($1::oid[]) AS o`, leaves).Scan(&bounds)
	if err != nil || slices.ContainsFunc(bounds, func(b string) bool { return strings.Contains(b, "satisfies_hash_partition") }) {
		return nil
	}
	var names []string
	for _, c := range t.Columns {
		if c.Expression != "" && strings.Contains(strings.Join(bounds, " "), c.Shadow) {
			names = append(names, c.Shadow)
		}
	}
	rows, ok := m.rowsOf(t, names)
	if !ok {
		return nil
	}
	none := "true"
	if len(bounds) > 0 {
		none = "((" + strings.Join(bounds, ") OR (") + ")) IS NOT TRUE"
	}
	return []probe{newProbe(t.Final.String(), t.Production, []string{t.Final.Name, "insert"}, pgerrcode.CheckViolation, "SELECT pgumbra_key FROM ("+rows+") AS r WHERE "+none+" LIMIT 1")}
}
