package shadow

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// RowError says that a production row can't be written to the shadow: a
// transform fails on it, or a constraint of the shadow refuses it. The user
// changes the row or the transform.
type RowError struct {
	Table pg.Name // production's
	// Key of the row, name = value; of a table without a key its ctid.
	Key string
	// Column of the shadow whose expression fails, with the expression; empty
	// where the row as a whole is refused.
	Column     string
	Expression string
	Err        error // PostgreSQL's
}

func (e *RowError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("%s: the row with %s can't be copied: %v", e.Table, e.Key, e.Err)
	}
	return fmt.Sprintf("%s: the row with %s can't be copied: column %s (%s): %v", e.Table, e.Key, e.Column, e.Expression, e.Err)
}

// Unwrap keeps the SQLSTATE.
func (e *RowError) Unwrap() error { return e.Err }

// ofData tells errors that a row's values cause: data exceptions, integrity
// violations, and what PL/pgSQL functions raise.
func ofData(err error) bool {
	state := pg.State(err)
	return len(state) == 5 && (state[:2] == "22" || state[:2] == "23" || state[:2] == "P0")
}

// explain turns an error of a chunk (or of a whole table, without one) into one
// that names the row, where a single row causes it.
func (c *Copier) explain(ctx context.Context, j job, cause error) error {
	t := j.table.Table
	plain := fmt.Errorf("copy %s: %w", productionName(t), cause)
	if errors.Is(cause, pg.ErrRowTooLarge) {
		return c.nameWidest(ctx, j, plain)
	}
	if !ofData(cause) || t.Feed == plans.Derived {
		return plain
	}
	ranges, err := c.suspects(ctx, j)
	if err != nil {
		return plain // the cause is what counts
	}
	for _, r := range ranges {
		s := &search{copier: c, table: t, member: r.member}
		found, err := s.find(ctx, r.first, r.last)
		if err != nil {
			break
		}
		if found != nil {
			return found
		}
	}
	return plain // the row was changed meanwhile, or the search failed
}

// nameWidest names the row that is most likely too large to be sent: that of the
// greatest values. Values whose size cannot be told without making them are left out.
func (c *Copier) nameWidest(ctx context.Context, j job, cause error) error {
	ranges, err := c.suspects(ctx, j)
	if err != nil || j.table.Feed == plans.Derived {
		return cause
	}
	var widest int64
	var key string
	for _, r := range ranges {
		s := &search{copier: c, table: j.table.Table, member: r.member}
		ctid, size, err := s.widest(ctx, r.first, r.last)
		if err != nil || size <= widest {
			continue
		}
		if k, err := s.key(ctx, ctid); err == nil {
			widest, key = size, k
		}
	}
	if widest == 0 {
		return cause
	}
	return &RowError{Table: c.Run.Plan.Sources[j.table.Source].Name, Key: key,
		Err: fmt.Errorf("it takes %s, the most of all; divide its values among several rows, or skip the table in the plan file and take it over by hand: %w", human.Bytes(widest), cause)}
}

func (s *search) widest(ctx context.Context, first, last int64) (ctid string, size int64, err error) {
	sizes := []string{"0"}
	for _, col := range s.copier.Run.Plan.Sources[s.table.Source].Columns {
		switch base, _, _ := strings.Cut(col.Type, "("); base {
		case "text", "bytea", "character varying":
			sizes = append(sizes, "coalesce(pg_catalog.octet_length(t."+pg.Ident(col.Name)+"), 0)::bigint")
		}
	}
	err = s.copier.Sides.Production.QueryRow(ctx, "SELECT t.ctid::text, "+strings.Join(sizes, " + ")+" FROM ONLY "+s.member.Name.Quoted()+
		" AS t WHERE t.ctid >= $1::pg_catalog.tid AND t.ctid < $2::pg_catalog.tid ORDER BY 2 DESC LIMIT 1", lower(first), lower(last)).Scan(&ctid, &size)
	return ctid, size, err
}

// suspects are the page ranges in which the row must be.
func (c *Copier) suspects(ctx context.Context, j job) ([]chunk, error) {
	if j.chunk != nil {
		return []chunk{*j.chunk}, nil
	}
	leaves, err := c.leaves(ctx, c.Sides.Production, j.table.Table)
	if err != nil {
		return nil, err
	}
	ranges := make([]chunk, len(leaves))
	for i, l := range leaves {
		ranges[i] = chunk{member: l.member, last: l.pages}
	}
	return ranges, nil
}

// search narrows a failing range of pages down to one row by trying halves of
// it, each in transactions that are rolled back.
type search struct {
	copier *Copier
	table  *plans.Table
	member plans.Member
}

func (s *search) find(ctx context.Context, first, last int64) (error, error) {
	for last-first > 1 {
		middle := (first + last) / 2
		failure, err := s.try(ctx, s.table, &pageRange{lower(first), lower(middle)})
		if err != nil {
			return nil, err
		}
		if failure != nil {
			last = middle
		} else {
			first = middle
		}
	}
	return s.inPage(ctx, first)
}

// errUndo rolls a transaction back that was only tried.
var errUndo = errors.New("rolled back on purpose")

// try copies for the error alone. The second error is one of the search itself.
func (s *search) try(ctx context.Context, t *plans.Table, pages *pageRange) (failure, err error) {
	c := s.copier
	err = across(ctx, c.Sides, c.Run, pg.ReadCommitted, func(e ends) error {
		if err := c.prepare(ctx, e); err != nil {
			return err
		}
		_, failure = c.transfer(ctx, e, t, s.member.Name, pages)
		return errUndo
	})
	if !errors.Is(err, errUndo) {
		return nil, err
	}
	if failure != nil && !ofData(failure) {
		return nil, failure
	}
	return failure, nil
}

func (s *search) inPage(ctx context.Context, page int64) (error, error) {
	rows, err := s.copier.Sides.Production.Query(ctx, "SELECT t.ctid::text, ((t.ctid::text::pg_catalog.point)[1] + 1)::int FROM ONLY "+s.member.Name.Quoted()+
		" AS t WHERE t.ctid >= $1::pg_catalog.tid AND t.ctid < $2::pg_catalog.tid ORDER BY t.ctid", lower(page), lower(page+1))
	if err != nil {
		return nil, err
	}
	type place struct {
		ctid string
		next int
	}
	places, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p place, err error) {
		err = row.Scan(&p.ctid, &p.next)
		return p, err
	})
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		row := &pageRange{p.ctid, fmt.Sprintf("(%d,%d)", page, p.next)}
		failure, err := s.try(ctx, s.table, row)
		if err != nil {
			return nil, err
		}
		if failure != nil {
			return s.blame(ctx, row, failure)
		}
	}
	return nil, nil
}

// blame names key and column of a row. The column is the one that fails in the
// same way when it is written alone: values are computed and cast before any
// constraint looks at the row.
func (s *search) blame(ctx context.Context, row *pageRange, failure error) (error, error) {
	e := &RowError{Table: s.copier.Run.Plan.Sources[s.table.Source].Name, Err: failure}
	var err error
	if e.Key, err = s.key(ctx, row.first); err != nil {
		return nil, err
	}
	var cause *pgconn.PgError
	if !errors.As(failure, &cause) {
		return e, nil
	}
	for _, column := range written(s.table) {
		alone := *s.table
		alone.Columns = []plans.Column{column}
		other, err := s.try(ctx, &alone, row)
		if err != nil {
			return nil, err
		}
		var same *pgconn.PgError
		if column.Shadow == cause.ColumnName || errors.As(other, &same) && sameFailure(same, cause) {
			e.Column, e.Expression = column.Shadow, column.Expression
			return e, nil
		}
	}
	return e, nil
}

// sameFailure leaves out failures of a row as a whole: a row of one column and
// NULLs fails a table's CHECK or NOT NULL too, whatever the column.
func sameFailure(a, b *pgconn.PgError) bool {
	return a.Code == b.Code && a.Message == b.Message && b.TableName == ""
}

func (s *search) key(ctx context.Context, ctid string) (string, error) {
	columns := s.copier.Run.Plan.Sources[s.table.Source].Key
	if len(columns) == 0 {
		return "ctid = " + ctid, nil
	}
	parts := make([]string, len(columns))
	for i, k := range columns {
		parts[i] = "t." + pg.Ident(k.Name) + "::text"
	}
	values := make([]string, len(columns))
	targets := make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	err := s.copier.Sides.Production.QueryRow(ctx, "SELECT "+strings.Join(parts, ", ")+" FROM ONLY "+s.member.Name.Quoted()+
		" AS t WHERE t.ctid = $1::pg_catalog.tid", ctid).Scan(targets...)
	if err != nil {
		return "", err
	}
	for i, k := range columns {
		values[i] = k.Name + " = " + values[i]
	}
	return strings.Join(values, ", "), nil
}
