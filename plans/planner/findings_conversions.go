package planner

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// What the migrations compute of a row is computed of production's rows, all of them
// where the time is enough: a value that does not convert fails in place, too, and one
// row of it, deep in a table and in no sample, would end the copy after hours. Pages
// are read in ranges that are spread over a table, each in a transaction of its own, so
// that of a table that is too large a fair part is seen and no snapshot is held.
const (
	conversionsTime = 10 * time.Second // all tables together
	rangeTime       = 3 * time.Second
	rangePages      = 2048
	tuplesOfPage    = 512 // more than a page holds
)

// conversion is a value that the migrations make of a row.
type conversion struct {
	object  string   // what people call it
	words   []string // by which its statement is found
	columns []string // that it needs
	value   string   // SQL over them, which fails where it cannot be made
	refuses string   // condition over them under which it is refused all the same; empty: none
	state   string   // SQLSTATE in place, then
}

// converting asks one table.
type converting struct {
	*draft
	draftOf *tableDraft
	table   *plans.Table
	values  map[string]string // each column of the new row over the old one, cast to what it becomes
	all     []conversion
	unasked []string // of which production understands no question
}

// pageRange of a table that holds rows itself.
type pageRange struct {
	member      pg.Name
	first, last int64 // the last one is not read
	tuples      [2]int
}

func (r pageRange) condition(alias string) string {
	return fmt.Sprintf("%[1]s.ctid >= '(%[2]d,%[3]d)' AND %[1]s.ctid < '(%[4]d,%[5]d)'", pg.Ident(alias), r.first, r.tuples[0], r.last, r.tuples[1])
}

// probeConversions asks production. ACCESS SHARE on the tables, for conversionsTime
// in all; production only is read.
func (m *draft) probeConversions(ctx context.Context) error {
	if !m.asksRows() {
		return nil
	}
	until := time.Now().Add(conversionsTime)
	var proved, open, unasked []string
	for c := range m.converted() {
		if err := c.collect(ctx); err != nil {
			return err
		}
		unasked = append(unasked, c.unasked...)
		if len(c.all) == 0 {
			continue
		}
		share, err := c.convertAll(ctx, until)
		switch {
		case err != nil:
			return err
		case len(c.all) == 0: // told as blockers
		case share >= 1:
			proved = append(proved, objectsOf(c.all)...)
		default:
			open = append(open, fmt.Sprintf("%s (%.0f %% of the rows)", strings.Join(objectsOf(c.all), ", "), 100*share))
		}
	}
	m.tellConversions(proved, open, unasked)
	return nil
}

// converted are the tables of which production's rows are asked.
func (m *draft) converted() iter.Seq[*converting] {
	return func(yield func(*converting) bool) {
		for i, d := range m.tables {
			t := m.planned(d)
			m.pulse.within(fmt.Sprintf("%d of %s", i+1, human.Plural(len(m.tables), "table")))
			if t != nil && m.asked(d, t) && !yield(&converting{draft: m, draftOf: d, table: t, values: map[string]string{}}) {
				return
			}
		}
	}
}

func objectsOf(all []conversion) (names []string) {
	for _, v := range all {
		names = append(names, v.object)
	}
	return names
}

func (m *survey) tellConversions(proved, open, unasked []string) {
	var told []string
	if len(proved) > 0 {
		told = append(told, "each row was tried for "+listed(proved))
	}
	if len(open) > 0 {
		told = append(told, "a part of the rows was tried for "+listed(open)+", since all would have taken longer than "+human.Duration(conversionsTime)+"; the copy tries the rest")
	}
	if len(unasked) > 0 {
		how := "no rows were looked at for "
		if m.file.Scratch.Rows > 0 {
			how = "only the sample was looked at for "
		}
		told = append(told, how+listed(unasked)+", which production cannot be asked; the copy tries all")
	}
	if len(told) > 0 {
		m.info("values-tried", m.session.Database, "of the values that the migrations compute, "+strings.Join(told, "; "), "")
	}
}

// collect finds what is computed of the table's rows. What needs types or functions
// that only the shadow has, production cannot be asked: the sample stands for it.
func (c *converting) collect(ctx context.Context) error {
	found, err := c.columnsMade(ctx)
	if err != nil {
		return err
	}
	more, err := c.expressionsMade(ctx)
	if err != nil {
		return err
	}
	for _, v := range append(found, more...) {
		if slices.ContainsFunc(v.columns, func(name string) bool { return c.values[name] == "" }) {
			c.unasked = append(c.unasked, v.object)
			continue
		}
		_, failed, err := c.ask(ctx, probeTime, []conversion{v}, nil)
		if err != nil {
			return err
		}
		if failed == nil {
			c.all = append(c.all, v)
		} else {
			c.unasked = append(c.unasked, v.object)
		}
	}
	return nil
}

// convertAll computes for pages until the time is up, and returns the share of them that
// was seen. A conversion that fails is a blocker then, and is left out of the rest.
func (c *converting) convertAll(ctx context.Context, until time.Time) (share float64, err error) {
	ranges, err := c.ranges(ctx)
	if err != nil || len(ranges) == 0 {
		return 1, err
	}
	seen := 0
	for i := 0; i < len(ranges) && len(c.all) > 0; {
		r := ranges[spread(i, len(ranges))]
		limit := min(time.Until(until), rangeTime)
		if limit < 10*time.Millisecond {
			break
		}
		key, failed, err := c.ask(ctx, limit, c.all, &r)
		switch {
		case err != nil:
			return 0, err
		case key != "", failed != nil && pg.DataError(failed.Code):
			if err := c.tell(ctx, r); err != nil {
				return 0, err
			}
			continue // without it, the same range again
		case failed == nil:
			seen++
		}
		i++
	}
	return float64(seen) / float64(len(ranges)), nil
}

// spread visits all of n places once, each far from the one before it.
func spread(i, n int) int {
	step := n*5/8 + 1
	for greatestDivisor(step, n) != 1 {
		step++
	}
	return i * step % n
}

func greatestDivisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// ranges are the pages of the table's members.
func (c *converting) ranges(ctx context.Context) (all []pageRange, err error) {
	for _, m := range c.plan.Sources[c.table.Source].Members {
		if !m.Leaf {
			continue
		}
		var pages int64
		err := c.db.QueryRow(ctx, `SELECT pg_catalog.pg_relation_size($1::oid) / pg_catalog.current_setting('block_size')::int`, m.OID).Scan(&pages)
		if err != nil {
			return nil, fmt.Errorf("measure %s: %w", m.Name, err)
		}
		for first := int64(0); first < pages; first += rangePages {
			all = append(all, pageRange{member: m.Name, first: first, last: min(first+rangePages, pages)})
		}
	}
	return all, nil
}

// ask computes some conversions for a range: a key whose row is refused by a condition,
// or what the server says. Nil range: no row, whether production understands it at all.
func (c *converting) ask(ctx context.Context, limit time.Duration, of []conversion, r *pageRange) (key string, failed *pgconn.PgError, err error) {
	var needs, values, refused []string
	for _, v := range of {
		needs = append(needs, v.columns...)
		values = append(values, "("+v.value+")")
		if v.refuses != "" {
			refused = append(refused, "("+v.refuses+")")
		}
	}
	slices.Sort(needs)
	filter := "false"
	if len(refused) > 0 {
		filter = strings.Join(refused, " OR ")
	}
	query := "SELECT coalesce(min(pgumbra_key) FILTER (WHERE " + filter + "), ''), count(ROW(" + strings.Join(values, ", ") + ")) FROM (" +
		c.rowsIn(slices.Compact(needs), r) + ") AS " + pg.Ident(c.table.Final.Name)
	var n int64
	return key, failed, c.read(ctx, limit, query, &failed, &key, &n)
}

// rowsIn selects columns of the new rows in a range, the key of production's row, and
// what else is asked of that.
func (c *converting) rowsIn(columns []string, r *pageRange, more ...string) string {
	alias := c.table.Production.Name
	list := append([]string{c.keyText(c.table) + " AS pgumbra_key"}, more...)
	for _, name := range columns {
		list = append(list, c.values[name]+" AS "+pg.Ident(name))
	}
	from, where := c.table.Production, "false"
	if r != nil {
		from, where = r.member, r.condition(alias)
	}
	if c.table.Where != "" {
		where += " AND (" + c.table.Where + "\n)"
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM ONLY " + from.Quoted() + " AS " + pg.Ident(alias) + " WHERE " + where
}

// read asks production one question. What the server refuses is no error.
func (c *converting) read(ctx context.Context, limit time.Duration, query string, failed **pgconn.PgError, to ...any) error {
	err := c.asClient(ctx, limit, func(tx pgx.Tx) error { return tx.QueryRow(ctx, query).Scan(to...) })
	if errors.As(err, failed) && !pg.Unreachable(err) {
		return nil
	}
	return err
}

// tell finds the row and the value, makes them a blocker, and leaves the conversion out
// from now on.
func (c *converting) tell(ctx context.Context, r pageRange) error {
	at, failed := 0, (*pgconn.PgError)(nil)
	fails := func(of []conversion, r pageRange) (bool, error) {
		key, refused, err := c.ask(ctx, rangeTime, of, &r)
		bad := key != "" || refused != nil && pg.DataError(refused.Code)
		if bad {
			failed = refused
		}
		return bad, err
	}
	for i, v := range c.all {
		bad, err := fails([]conversion{v}, r)
		if err != nil {
			return err
		}
		if bad {
			at = i
			break
		}
	}
	culprit := c.all[at]
	c.all = slices.Delete(c.all, at, at+1)
	r, err := narrow(r, func(r pageRange) (bool, error) { return fails([]conversion{culprit}, r) })
	if err != nil {
		return err
	}
	var key string
	var gone *pgconn.PgError
	if err := c.read(ctx, probeTime, "SELECT coalesce(min(pgumbra_key), '') FROM ("+c.rowsIn(nil, &r)+") AS r", &gone, &key); err != nil {
		return err
	}
	c.blockBy(culprit, key, failed)
	return nil
}

// narrow halves a range in which a row fails until the row is alone.
func narrow(r pageRange, fails func(pageRange) (bool, error)) (pageRange, error) {
	for r.last-r.first > 1 {
		half := r
		half.last = r.first + (r.last-r.first)/2
		bad, err := fails(half)
		if err != nil {
			return r, err
		}
		if !bad {
			half.first, half.last = half.last, r.last
		}
		r = half
	}
	r.last, r.tuples = r.first, [2]int{0, tuplesOfPage}
	for r.tuples[1]-r.tuples[0] > 1 {
		half := r
		half.tuples[1] = (r.tuples[0] + r.tuples[1]) / 2
		bad, err := fails(half)
		if err != nil {
			return r, err
		}
		if !bad {
			half.tuples = [2]int{half.tuples[1], r.tuples[1]}
		}
		r = half
	}
	return r, nil
}

// refusedAs is what a condition has found out.
var refusedAs = map[string]string{pgerrcode.InvalidTextRepresentation: "its value is no label of the new type", pgerrcode.CheckViolation: "its value breaks a check of the domain",
	pgerrcode.NotNullViolation: "it has no value", pgerrcode.StringDataRightTruncationDataException: "its value is too long"}

func (c *converting) blockBy(v conversion, key string, failed *pgconn.PgError) {
	why, state := refusedAs[v.state], v.state
	if failed != nil {
		why, state = serverMessage(withoutRow(failed)), failed.Code
	}
	row := "a row of " + c.table.Production.String()
	if key != "" {
		row = "the row of " + c.table.Production.String() + " with " + key + ", say"
	}
	fix := "correct the rows in production, or the migration"
	if i := slices.IndexFunc(c.table.Columns, func(p plans.Column) bool {
		return c.table.Final.String()+"."+p.Shadow == v.object && p.Origin == plans.FromPlan
	}); i >= 0 {
		fix = "correct the expression in the plan file, or the rows in production"
	}
	c.find(plans.Finding{Level: plans.Blocker, Code: "conversion-fails", Object: v.object, Where: c.naming(v.words...),
		Message: fmt.Sprintf("what the migrations compute cannot be computed of %s: %s (SQLSTATE %s). In place it fails, too", row, why, state), Fix: fix})
}
