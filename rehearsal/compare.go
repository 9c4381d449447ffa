package rehearsal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// Difference is something that the shadow has otherwise than the migrations make
// it in place.
type Difference struct {
	Kind   Kind   `json:"kind"`
	Object string `json:"object"`           // shop.orders; of structure with its kind: INDEX shop.orders_customer
	Column string `json:"column,omitempty"` // empty: whole rows
	Count  int64  `json:"count"`            // of rows
	// Examples are the first few of them.
	Examples []Example `json:"examples"`
	// Explanation is where the shadow's side comes from: statement, file, transform.
	Explanation string `json:"explanation,omitempty"`
	Where       string `json:"where,omitempty"` // the migration that changed the object last
}

// Kind is what differs.
type Kind string

// The kinds.
const (
	ValuesDiffer     Kind = "values-differ"
	RowsMissing      Kind = "rows-missing" // in the shadow
	RowsExtra        Kind = "rows-extra"
	StructureDiffers Kind = "structure-differs"
	StructureMissing Kind = "structure-missing"
	StructureExtra   Kind = "structure-extra"
	SequenceDiffers  Kind = "sequence-differs"
)

// Example is one row, or the definition of an object, on both sides.
type Example struct {
	Key      string `json:"key,omitempty"`
	InPlace  string `json:"in_place"`
	Upgraded string `json:"upgraded"`
}

// Compared is what a comparison looked at and found.
type Compared struct {
	Tables      int          `json:"tables"`
	Rows        int64        `json:"rows"`
	Objects     int          `json:"objects"`
	Sequences   int          `json:"sequences"`
	Differences []Difference `json:"differences"`
}

// Compare holds a database against one in which the migrations ran in place:
// structure by dump, rows by value, the next numbers of sequences, of which it
// draws one each. Columns to leave out are named schema.table.column.
func (o Oracle) Compare(ctx context.Context, inPlace, upgraded string, leaveOut ...string) (*Compared, error) {
	return compared(func(c *Compared) error { return o.compareStructure(ctx, c, inPlace, upgraded) },
		func(c *Compared) error { return o.compareRows(ctx, c, inPlace, upgraded, leaveOut) },
		func(c *Compared) error { return o.compareSequences(ctx, c, inPlace, upgraded) })
}

// CompareStructure is the part of [Oracle.Compare] that takes no notice of rows.
func (o Oracle) CompareStructure(ctx context.Context, inPlace, upgraded string) (*Compared, error) {
	return compared(func(c *Compared) error { return o.compareStructure(ctx, c, inPlace, upgraded) })
}

// CompareRows is the part of [Oracle.Compare] that takes no notice of the structure.
func (o Oracle) CompareRows(ctx context.Context, inPlace, upgraded string, leaveOut ...string) (*Compared, error) {
	return compared(func(c *Compared) error { return o.compareRows(ctx, c, inPlace, upgraded, leaveOut) },
		func(c *Compared) error { return o.compareSequences(ctx, c, inPlace, upgraded) })
}

func compared(parts ...func(*Compared) error) (*Compared, error) {
	c := &Compared{Differences: []Difference{}}
	for _, part := range parts {
		if err := part(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (o Oracle) compareStructure(ctx context.Context, c *Compared, inPlace, upgraded string) error {
	want, err := o.objects(ctx, inPlace)
	if err != nil {
		return err
	}
	got, err := o.objects(ctx, upgraded)
	if err != nil {
		return err
	}
	c.Objects = len(want)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		text, there := got[name]
		switch {
		case !there:
			c.add(Difference{Kind: StructureMissing, Object: name, Count: 1, Examples: []Example{{InPlace: want[name]}}})
		case text != want[name]:
			one, other := onlyInOne(want[name], text)
			c.add(Difference{Kind: StructureDiffers, Object: name, Count: 1, Examples: []Example{{InPlace: one, Upgraded: other}}})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, there := want[name]; !there {
			c.add(Difference{Kind: StructureExtra, Object: name, Count: 1, Examples: []Example{{Upgraded: got[name]}}})
		}
	}
	return nil
}

// onlyInOne are the lines that only one of two texts has.
func onlyInOne(one, other string) (string, string) {
	a, b := strings.Split(one, "\n"), strings.Split(other, "\n")
	only := func(of, without []string) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(of), func(l string) bool { return slices.Contains(without, l) }), "\n")
	}
	if x, y := only(a, b), only(b, a); x != "" || y != "" {
		return x, y
	}
	return one, other // the same lines in another order
}

func (c *Compared) add(d Difference) { c.Differences = append(c.Differences, d) }

// compareSequences allows for the margin that a cutover leaves in sequences of its
// own: one that stands behind would give a number out twice.
func (o Oracle) compareSequences(ctx context.Context, c *Compared, inPlace, upgraded string) error {
	want, err := o.NextValues(ctx, inPlace)
	if err != nil {
		return err
	}
	got, err := o.NextValues(ctx, upgraded)
	if err != nil {
		return err
	}
	c.Sequences = len(want)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if other, there := got[name]; there && other.behind(want[name]) {
			c.add(Difference{Kind: SequenceDiffers, Object: name, Count: 1, Examples: []Example{{InPlace: want[name].String(), Upgraded: other.String()}}})
		}
	}
	return nil
}

func (n Next) behind(want Next) bool {
	return n.Failure != want.Failure || (n.Value-want.Value)*n.Increment < 0 || n.Increment != want.Increment
}

// String is what a sequence gives next, for people.
func (n Next) String() string {
	if n.Failure != "" {
		return "fails with " + n.Failure
	}
	return fmt.Sprintf("gives %d next, then %+d", n.Value, n.Increment)
}

// compareRows compares table by table: a hash of all rows first, and row by row
// where that differs.
func (o Oracle) compareRows(ctx context.Context, c *Compared, inPlace, upgraded string, leaveOut []string) error {
	pair, err := o.open(ctx, inPlace, upgraded)
	if err != nil {
		return err
	}
	defer pair.close(ctx)
	want, err := o.tables(ctx, pair.inPlace, leaveOut)
	if err != nil {
		return err
	}
	got, err := o.tables(ctx, pair.upgraded, leaveOut)
	if err != nil {
		return err
	}
	if err := pair.onOneSide(ctx, c, want, got); err != nil {
		return err
	}
	for _, name := range inOrder(want) {
		columns := slices.DeleteFunc(slices.Clone(want[name]), func(s string) bool { return !slices.Contains(got[name], s) })
		if _, there := got[name]; !there {
			continue
		}
		c.Tables++
		rows, found, err := pair.compare(ctx, name, columns)
		if err != nil {
			return fmt.Errorf("compare the rows of %s: %w", name, err)
		}
		c.Rows += rows
		c.Differences = append(c.Differences, found...)
	}
	return nil
}

// onOneSide tells of tables that only one side has, or of which it has more columns, unless
// the structure showed them: a materialized view that is filled on one side alone is the
// same for the structure.
func (p *pair) onOneSide(ctx context.Context, c *Compared, want, got map[pg.Name][]string) error {
	for _, side := range []struct {
		conn      *pgx.Conn
		has, lack map[pg.Name][]string
		kind      Kind
	}{{p.inPlace, want, got, RowsMissing}, {p.upgraded, got, want, RowsExtra}} {
		for _, name := range inOrder(side.has) {
			columns, both := side.lack[name]
			if both && len(columns) >= len(side.has[name]) || slices.ContainsFunc(c.Differences, func(d Difference) bool { return strings.HasSuffix(d.Object, " "+name.String()) }) {
				continue
			}
			all, err := summarize(ctx, side.conn, name, side.has[name])
			if err != nil {
				return err
			}
			c.add(Difference{Kind: side.kind, Object: name.String(), Count: all.Rows, Examples: []Example{{InPlace: strings.Join(want[name], ", "), Upgraded: strings.Join(got[name], ", ")}}})
		}
	}
	return nil
}

func inOrder(tables map[pg.Name][]string) []pg.Name {
	return slices.SortedFunc(maps.Keys(tables), func(a, b pg.Name) int { return strings.Compare(a.Quoted(), b.Quoted()) })
}

// pair is both databases, open for reading.
type pair struct{ inPlace, upgraded *pgx.Conn }

// open takes bytes as they are: a database in SQL_ASCII holds some that are no
// UTF-8. Functions of indexes' expressions, which planning looks into, name others as the
// database's search_path has it.
func (o Oracle) open(ctx context.Context, inPlace, upgraded string) (*pair, error) {
	session, err := catalog.ReadSession(ctx, inPlace, nil)
	if err != nil {
		return nil, err
	}
	options := pg.Options{Component: "oracle", SearchPath: session.Path, Settings: map[string]string{"client_encoding": "SQL_ASCII"}}
	one, err := pg.Connect(ctx, inPlace, options)
	if err != nil {
		return nil, err
	}
	other, err := pg.Connect(ctx, upgraded, options)
	if err != nil {
		_ = one.Close(ctx)
		return nil, err
	}
	return &pair{one, other}, nil
}

func (p *pair) close(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	_, _ = p.inPlace.Close(ctx), p.upgraded.Close(ctx)
}

// summary of a table's rows: how many, and a hash that does not depend on their
// order.
type summary struct {
	Rows int64
	Hash string
}

func summarize(ctx context.Context, conn *pgx.Conn, name pg.Name, columns []string) (s summary, err error) {
	err = conn.QueryRow(ctx, fmt.Sprintf(`SELECT count(*), coalesce(sum(hashtextextended(ROW(%s)::text, 0)::numeric), 0)::text FROM ONLY %s`,
		pg.Idents(columns), name.Quoted())).Scan(&s.Rows, &s.Hash)
	return s, err
}

// onBoth asks both sides at once.
func onBoth[T any](ctx context.Context, p *pair, ask func(context.Context, *pgx.Conn) (T, error)) (inPlace, upgraded T, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { inPlace, err = ask(ctx, p.inPlace); return err })
	group.Go(func() (err error) { upgraded, err = ask(ctx, p.upgraded); return err })
	err = group.Wait()
	return inPlace, upgraded, err
}

func (p *pair) compare(ctx context.Context, name pg.Name, columns []string) (int64, []Difference, error) {
	want, got, err := onBoth(ctx, p, func(ctx context.Context, conn *pgx.Conn) (summary, error) { return summarize(ctx, conn, name, columns) })
	if err != nil || got == want {
		return want.Rows, nil, err
	}
	key, err := keyOf(ctx, p.inPlace, name, columns)
	if err != nil {
		return 0, nil, err
	}
	m := &merge{name: name, columns: columns, key: key}
	if err := m.run(ctx, p); err != nil {
		return 0, nil, err
	}
	return want.Rows, m.differences(), nil
}

// keyOf is a table's primary key, or another that tells rows apart, as places
// among columns; none: there is none within them.
func keyOf(ctx context.Context, conn *pgx.Conn, name pg.Name, columns []string) ([]int, error) {
	rows, err := conn.Query(ctx, `
		SELECT (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))
		FROM pg_index i WHERE i.indrelid = $1::text::regclass AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
		  AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull)
		ORDER BY i.indisprimary DESC, i.indexrelid`, name.Quoted())
	if err != nil {
		return nil, err
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		var places []int
		for _, column := range k {
			if i := slices.Index(columns, column); i >= 0 {
				places = append(places, i)
			}
		}
		if len(places) == len(k) {
			return places, nil
		}
	}
	return nil, nil
}
