package rehearsal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// merge reads the rows of a table on both sides in the order of the key, a row
// at a time.
type merge struct {
	name    pg.Name
	columns []string
	key     []int // places among columns; none: whole rows are compared

	missing, extra Difference
	values         map[int]*Difference // by place of the column
}

const (
	shownExamples = 3
	shownText     = 200 // bytes of a value
)

// run reads both sides. What sorts them is the server, by the bytes of the texts.
func (m *merge) run(ctx context.Context, p *pair) error {
	m.values = map[int]*Difference{}
	m.missing, m.extra = Difference{Kind: RowsMissing, Object: m.name.String()}, Difference{Kind: RowsExtra, Object: m.name.String()}
	want, err := m.open(ctx, p.inPlace)
	if err != nil {
		return err
	}
	defer want.rows.Close()
	got, err := m.open(ctx, p.upgraded)
	if err != nil {
		return err
	}
	defer got.rows.Close()
	for {
		if a, b := want.next(), got.next(); !a && !b {
			return firstError(want, got)
		}
		switch order := m.order(want.row, got.row); {
		case order < 0:
			m.note(&m.missing, want.row)
			want.row = nil
		case order > 0:
			m.note(&m.extra, got.row)
			got.row = nil
		default:
			m.compare(want.row, got.row)
			want.row, got.row = nil, nil
		}
	}
}

func firstError(all ...*side) error {
	for _, s := range all {
		if s.err != nil {
			return s.err
		}
		if err := s.rows.Err(); err != nil {
			return err
		}
	}
	return nil
}

// side is one of the two; row is nil before the first and after the last.
type side struct {
	rows pgx.Rows
	row  []*string
	err  error
	over bool
}

// next reads a row unless the last one was not used yet.
func (s *side) next() bool {
	if s.row != nil || s.over {
		return s.row != nil
	}
	if !s.rows.Next() {
		s.over = true
		return false
	}
	if s.err = s.rows.Scan(&s.row); s.err != nil {
		s.row, s.over = nil, true
	}
	return s.row != nil
}

func (m *merge) open(ctx context.Context, conn *pgx.Conn) (*side, error) {
	var texts, order []string
	for _, c := range m.columns {
		texts = append(texts, pg.Ident(c)+"::text")
	}
	for _, place := range m.key {
		order = append(order, texts[place]+` COLLATE "C"`)
	}
	if len(order) == 0 {
		for _, t := range texts {
			order = append(order, t+` COLLATE "C" NULLS FIRST`)
		}
	}
	if len(order) == 0 {
		order = []string{"true"}
	}
	rows, err := conn.Query(ctx, fmt.Sprintf("SELECT ARRAY[%s]::text[] FROM ONLY %s ORDER BY %s", strings.Join(texts, ", "), m.name.Quoted(), strings.Join(order, ", ")))
	if err != nil {
		return nil, err
	}
	return &side{rows: rows}, nil
}

// order is that of two rows' keys; a side that is at its end comes last.
func (m *merge) order(a, b []*string) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	places := m.key
	if len(places) == 0 {
		for i := range m.columns {
			places = append(places, i)
		}
	}
	for _, i := range places {
		if c := compareTexts(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

func compareTexts(a, b *string) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return strings.Compare(*a, *b)
}

func (m *merge) note(d *Difference, row []*string) {
	d.Count++
	if len(d.Examples) >= shownExamples {
		return
	}
	e := Example{Key: m.keyText(row)}
	if d.Kind == RowsMissing {
		e.InPlace, e.Upgraded = m.text(row), "no such row"
	} else {
		e.InPlace, e.Upgraded = "no such row", m.text(row)
	}
	d.Examples = append(d.Examples, e)
}

func (m *merge) compare(want, got []*string) {
	for i := range m.columns {
		if compareTexts(want[i], got[i]) == 0 {
			continue
		}
		d := m.values[i]
		if d == nil {
			d = &Difference{Kind: ValuesDiffer, Object: m.name.String(), Column: m.columns[i]}
			m.values[i] = d
		}
		d.Count++
		if len(d.Examples) < shownExamples {
			d.Examples = append(d.Examples, Example{Key: m.keyText(want), InPlace: shown(want[i]), Upgraded: shown(got[i])})
		}
	}
}

func (m *merge) keyText(row []*string) string {
	var parts []string
	for _, i := range m.key {
		parts = append(parts, m.columns[i]+"="+shown(row[i]))
	}
	return strings.Join(parts, ", ")
}

func (m *merge) text(row []*string) string {
	var parts []string
	for i, c := range m.columns {
		parts = append(parts, c+"="+shown(row[i]))
	}
	return cut(strings.Join(parts, ", "), 2*shownText)
}

func shown(v *string) string {
	if v == nil {
		return "NULL"
	}
	return cut(strings.ToValidUTF8(*v, "?"), shownText)
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

func (m *merge) differences() []Difference {
	var all []Difference
	for _, d := range []Difference{m.missing, m.extra} {
		if d.Count > 0 {
			all = append(all, d)
		}
	}
	var places []int
	for i := range m.values {
		places = append(places, i)
	}
	slices.Sort(places)
	for _, i := range places {
		all = append(all, *m.values[i])
	}
	return all
}
