package estimate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// What a table's rows are on average says little of its largest, and it is the
// largest that capture, replay and another server have to cope with. So pieces
// of the tables that have long values are looked at, row by row, by the sizes
// that TOAST pointers tell: no long value is read. Rows with very large values
// are few to a page's pointers, so that a heap of up to 1,024 pages, 8 MB, is
// looked at whole.

const (
	// mostWidened is how many tables are looked at, those with the most long values.
	mostWidened = 10
)

// widths are what the rows looked at take at most, in bytes.
type widths struct {
	rows   int64
	packed int64 // as they are stored
	whole  int64 // at least, unpacked
}

// widest looks for the largest rows. What cannot be read is left out.
func widest(ctx context.Context, conn *pgx.Conn, p *plans.Plan, sizes map[uint32]memberSize) ([]plans.Finding, error) {
	var findings []plans.Finding
	for _, s := range withLongValues(p, sizes) {
		w, err := widestOf(ctx, conn, s, sizes)
		var refused *pgconn.PgError
		if errors.As(err, &refused) {
			continue
		}
		if err != nil {
			return nil, err
		}
		findings = append(findings, widthFindings(p, s, w)...)
	}
	return findings, nil
}

func withLongValues(p *plans.Plan, sizes map[uint32]memberSize) []*plans.Source {
	toast := func(s *plans.Source) (bytes int64) {
		for _, m := range s.Members {
			bytes += sizes[m.OID].toast
		}
		return bytes
	}
	var all []*plans.Source
	for i := range p.Sources {
		if s := &p.Sources[i]; toast(s) > 0 && len(s.Columns) > 0 {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b *plans.Source) int { return cmp.Compare(toast(b), toast(a)) })
	return all[:min(len(all), mostWidened)]
}

func widestOf(ctx context.Context, conn *pgx.Conn, s *plans.Source, sizes map[uint32]memberSize) (w widths, err error) {
	member := slices.MaxFunc(s.Members, func(a, b plans.Member) int { return cmp.Compare(sizes[a.OID].toast, sizes[b.OID].toast) })
	began := time.Now()
	for _, first := range Pieces(sizes[member.OID].blocks) {
		var piece widths
		err := readOnly(ctx, conn, "pg_catalog", func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, widestSQL(s, member), fmt.Sprintf("(%d,0)", first), fmt.Sprintf("(%d,0)", first+PiecePages)).
				Scan(&piece.rows, &piece.packed, &piece.whole)
		})
		if err != nil {
			return w, err
		}
		w = widths{w.rows + piece.rows, max(w.packed, piece.packed), max(w.whole, piece.whole)}
		if time.Since(began) > sampleTime {
			break
		}
	}
	return w, nil
}

// widestSQL looks at a range of pages ($1 to $2). A text's length is told by its
// pointer; of other types only what they are stored in is known.
func widestSQL(s *plans.Source, m plans.Member) string {
	var packed, whole []string
	for _, c := range s.Columns {
		size := "coalesce(pg_catalog.pg_column_size(t." + pg.Ident(c.Name) + "), 0)::bigint"
		packed = append(packed, size)
		switch base, _, _ := strings.Cut(c.Type, "("); base {
		case "text", "bytea", "character varying":
			size = "coalesce(pg_catalog.octet_length(t." + pg.Ident(c.Name) + "), 0)::bigint"
		}
		whole = append(whole, size)
	}
	return fmt.Sprintf("SELECT count(*), coalesce(max(packed), 0), coalesce(max(whole), 0) FROM (SELECT %s AS packed, %s AS whole FROM ONLY %s AS t"+
		" WHERE t.ctid >= $1::pg_catalog.tid AND t.ctid < $2::pg_catalog.tid) AS r",
		strings.Join(packed, " + "), strings.Join(whole, " + "), m.Name.Quoted())
}

func widthFindings(p *plans.Plan, s *plans.Source, w widths) []plans.Finding {
	switch {
	case w.whole >= plans.MostOfARow:
		return []plans.Finding{hugeRow(p, s, w)}
	case w.packed >= plans.WideRow && s.Record == plans.RecordRow && !s.Frozen:
		return []plans.Finding{{Level: plans.Info, Code: "wide-rows", Object: s.Name.String(),
			Message: fmt.Sprintf("The widest of the %s rows that were looked at takes %s. Rows of more than %s are journalled by their key, and read again when they are replayed.",
				human.Count(w.rows), human.Bytes(w.packed), human.Bytes(plans.WideRow)),
			Fix: "If most rows are as wide: record: key under tables: " + s.Name.String() + " spares looking at each row's width."}}
	}
	return nil
}

// hugeRow: in place such a row is never one value; to another database it cannot be sent,
// and without a key it cannot be recorded.
func hugeRow(p *plans.Plan, s *plans.Source, w widths) plans.Finding {
	f := plans.Finding{Level: plans.Info, Code: "huge-rows", Object: s.Name.String(),
		Message: fmt.Sprintf("A row takes %s, which is more than one value may. It is journalled by its key, and copied, replayed and compared column by column.", human.Bytes(w.whole))}
	var why string
	switch {
	case len(s.Key) == 0 && !s.Frozen:
		why = "without a key a change of it can only be recorded as a whole row"
	case p.Remote:
		why = "COPY cannot send it to another database"
	default:
		return f
	}
	f.Level = plans.Blocker
	f.Message = fmt.Sprintf("A row takes %s, which is more than one value may: %s.", human.Bytes(w.whole), why)
	f.Fix = "Divide its values among several rows, or skip the table under tables: and take it over by hand."
	return f
}
