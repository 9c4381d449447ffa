package planner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// compare holds the plan against what the migrations made of the sample:
// structure, sequences, and each table's rows.
func (p *proof) compare(ctx context.Context) (err error) {
	db := p.rowsScratch.db
	if _, err := db.Exec(ctx, "DROP SCHEMA "+pg.Ident(syntax.TraceSchema)+" CASCADE"); err != nil {
		return fmt.Errorf("drop the trace: %w", err)
	}
	if p.session.Encoding == sqlASCII { // its rows may be any bytes
		if _, err := db.Exec(ctx, "SET client_encoding = 'SQL_ASCII'"); err != nil {
			return fmt.Errorf("set the encoding: %w", err)
		}
	}
	if p.after, err = catalog.Read(ctx, db); err != nil {
		return err
	}
	if err := p.after.ReadValues(ctx, db, p.file.Production.Schemas); err != nil {
		return err
	}
	p.compareStructure()
	p.compareSequences()
	if err := p.layOut(ctx); err != nil {
		return err
	}
	for i := range p.plan.Tables {
		if err := p.compareTable(ctx, &p.plan.Tables[i]); err != nil {
			return fmt.Errorf("compare %s: %w", p.plan.Tables[i].Final, err)
		}
	}
	return p.queriesBring(ctx)
}

// layOut puts the sample into production's tables as they stand beside the shadow
// in the first scratch database, where the plan's expressions are evaluated.
func (p *proof) layOut(ctx context.Context) error {
	for _, e := range p.dump {
		if e.Tag == "TABLE ATTACH" && p.moving(e.Schema) {
			_ = pg.ExecScript(ctx, p.scratch.db, e.SQL) // what fails shows when the table is filled
		}
	}
	if p.scratch.guest != nil {
		if err := p.admit(ctx, p.scratch); err != nil {
			return err
		}
	}
	conn, err := p.connectRows(ctx, p.scratch)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	p.absent = map[uint32]bool{}
	for _, t := range p.sample.ordered() {
		if !p.moving(t.table.Name.Schema) {
			continue
		}
		if err := t.load(ctx, conn); err != nil {
			if pg.State(err) == "" {
				return err
			}
			p.absent[t.table.OID] = true
		}
	}
	return nil
}

// compareTable compares the rows of one table.
func (p *proof) compareTable(ctx context.Context, t *plans.Table) error {
	switch {
	case t.Feed == plans.Carried:
		return p.compareCarried(ctx, t)
	case t.Feed != plans.Copied && t.Feed != plans.Derived, p.doubted(t):
		return nil
	case t.Source >= 0 && p.unread(p.production.ByName(t.Production)):
		return nil
	}
	c := &comparison{proof: p, table: t, columns: comparableColumns(p.plan.StartedAt, t)}
	if len(c.columns) == 0 {
		return nil
	}
	if err := c.evaluate(ctx); err != nil {
		return err
	}
	if c.refused != nil {
		_, written := p.written(t, "")
		p.find(plans.Finding{Level: plans.Blocker, Code: "transform-fails", Object: t.Final.String(), Where: p.naming(t.Final.Name), Opaque: !written,
			Message: fmt.Sprintf("what the plan makes of rows of %s fails, where the migrations take them: %s (SQLSTATE %s)", t.Production, serverMessage(withoutRow(c.refused)), pg.State(c.refused)),
			Fix:     "write an expression that takes every row under tables: in the plan file, or correct the rows"})
		return nil //nolint:nilerr // told as a finding
	}
	var err error
	if c.theirs, err = readRows(ctx, p.rowsScratch.db, t.Final, t.Kind, c.names()); err != nil {
		return err
	}
	for i := range c.theirs {
		for j := range c.theirs[i] {
			c.theirs[i][j] = p.scratch.unmask(c.theirs[i][j])
		}
	}
	p.proved++
	if err := c.tell(ctx); err != nil {
		return err
	}
	return c.bringBack(ctx)
}

// unread: the rows of a table, or of some of its partitions, are not laid out.
func (p *proof) unread(t *catalog.Table) bool {
	return t == nil || slices.ContainsFunc(p.sample.leaves(t), func(l *catalog.Table) bool { return p.absent[l.OID] })
}

// doubted: a blocker concerns the table already, and the run will not start.
func (m *task) doubted(t *plans.Table) bool {
	return slices.ContainsFunc(m.plan.Findings, func(f plans.Finding) bool {
		return f.Level == plans.Blocker && f.Code != "constraint-violated" && (f.Object == t.Final.String() || strings.HasPrefix(f.Object, t.Final.String()+"."))
	})
}

// comparableColumns are those whose values a second run repeats: not what a
// default makes for each row, and not the time of a run.
func comparableColumns(startedAt string, t *plans.Table) []plans.Column {
	var all []plans.Column
	for _, c := range t.Columns {
		if !c.Generated && !c.Volatile && !tellsTime(startedAt, c.Expression) && !tellsTime(startedAt, c.Means) {
			all = append(all, c)
		}
	}
	return all
}

// moments are times in an expression.
var moments = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)

// tellsTime: the expression holds a time that may be that of this plan, in
// whatever time zone.
func tellsTime(startedAt, expression string) bool {
	started, err := time.Parse(time.RFC3339Nano, startedAt)
	return err == nil && slices.ContainsFunc(moments.FindAllString(expression, -1), func(text string) bool {
		at, err := time.Parse(time.DateTime, text)
		return err == nil && at.Sub(started).Abs() < 15*time.Hour
	})
}

// comparison of one table's rows.
type comparison struct {
	*proof
	table   *plans.Table
	columns []plans.Column
	ours    [][]string // values as COPY writes them; last the place of production's row, if there is one
	theirs  [][]string
	refused *pgconn.PgError
}

func (c *comparison) names() (names []string) {
	for _, column := range c.columns {
		names = append(names, column.Shadow)
	}
	return names
}

// evaluate makes of the sample what copying would, into a table of the same types
// and no constraints.
func (c *comparison) evaluate(ctx context.Context) error {
	conn, err := c.connectRows(ctx, c.scratch)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	names, t := pg.Idents(c.names()), c.table
	values := make([]string, len(c.columns))
	for i, column := range c.columns {
		values[i] = column.Expression
	}
	place, from := "NULL", " FROM ("+t.From+") AS pgumbra_from"
	if t.Feed == plans.Copied {
		place, from = placeOf(t.Production.Name), c.copiedFrom()
	}
	err = pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "CREATE TEMP TABLE pgumbra_ours AS SELECT "+names+", NULL::text AS pgumbra_place FROM "+t.Shadow.Quoted()+" LIMIT 0"); err != nil {
			return err
		}
		if err := c.asReplayed(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO pg_temp.pgumbra_ours SELECT "+strings.Join(values, ", ")+", "+place+from)
		return err
	})
	if err != nil {
		return c.refuse(err)
	}
	c.ours, err = readRows(ctx, conn, pg.Name{Schema: "pg_temp", Name: "pgumbra_ours"}, plans.Plain, append(c.names(), "pgumbra_place"))
	return err
}

// placeOf is where a row stands in the sample: its table and its place there.
func placeOf(alias string) string {
	return pg.Ident(alias) + ".tableoid::text || ' ' || " + pg.Ident(alias) + ".ctid::text"
}

// copiedFrom are the rows of the sample that the table gets.
func (c *comparison) copiedFrom() string {
	from := wholeTree(fromText(c.table), c.plan.Sources[c.table.Source].Kind)
	if c.table.Where != "" {
		from += " WHERE (" + c.table.Where + "\n)"
	}
	return from
}

// asReplayed sets what transforms are evaluated under.
func (c *comparison) asReplayed(ctx context.Context, tx pgx.Tx) error {
	settings := map[string]string{"search_path": c.plan.SearchPath}
	for name, value := range c.plan.Session {
		settings[name] = value
	}
	for name, value := range settings {
		if _, err := tx.Exec(ctx, "SELECT pg_catalog.set_config($1, $2, true)", name, value); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) refuse(err error) error {
	if !errors.As(err, &c.refused) || pg.Unreachable(err) {
		return err
	}
	return nil
}

// wholeTree reads a partition tree whole.
func wholeTree(from string, kind plans.Kind) string {
	if kind == plans.Partitioned {
		return strings.Replace(from, "FROM ONLY ", "FROM ", 1)
	}
	return from
}

// readRows reads a table's values as COPY writes them.
func readRows(ctx context.Context, conn *pgx.Conn, table pg.Name, kind plans.Kind, columns []string) ([][]string, error) {
	var text bytes.Buffer
	if _, err := conn.PgConn().CopyTo(ctx, &text, "COPY (SELECT "+pg.Idents(columns)+" FROM "+ownRows(table, kind == plans.Partitioned)+") TO STDOUT"); err != nil {
		return nil, fmt.Errorf("read rows of %s in scratch: %w", table, err)
	}
	return splitRows(text.String()), nil
}

func splitRows(text string) [][]string {
	var rows [][]string
	for line := range strings.Lines(text) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}
