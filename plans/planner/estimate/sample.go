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

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// A sample reads pieces of the largest tables, spread over their pages, until
// its time is up: long enough to mean something, short enough that nobody
// notices.
const (
	sampledTables = 3
	sampleTime    = 400 * time.Millisecond // for each table
	samplePieces  = 16
	// PiecePages is how many pages one piece has.
	PiecePages = 64
)

// sample times reading and transforming, one worker, in bytes a second (heap
// and TOAST); 0 where there is nothing to read. A transform that fails on a
// sampled row is a finding: it would fail in the copy too.
func sample(ctx context.Context, conn *pgx.Conn, p *plans.Plan, sizes map[uint32]memberSize) (float64, []plans.Finding, error) {
	var bytes, seconds float64
	var findings []plans.Finding
	for _, t := range largest(p) {
		s := sampler{conn: conn, plan: p, table: t, source: &p.Sources[t.Source]}
		if s.member = biggestLeaf(s.source, sizes); s.member == nil {
			continue
		}
		b, d, err := s.run(ctx, sizes[s.member.OID])
		var failed *pgconn.PgError
		switch {
		case errors.As(err, &failed) && pg.DataError(failed.Code):
			findings = append(findings, s.finding(ctx, failed))
		case errors.As(err, &failed):
			// Locked, too slow, or an expression that needs what only the
			// shadow will have: no sample of this table.
		case err != nil:
			return 0, nil, err
		}
		bytes, seconds = bytes+b, seconds+d.Seconds()
	}
	if seconds == 0 {
		return 0, findings, nil
	}
	return bytes / seconds, findings, nil
}

func largest(p *plans.Plan) []*plans.Table {
	var tables []*plans.Table
	for i := range p.Tables {
		if t := &p.Tables[i]; t.Feed == plans.Copied && p.CopiedFrom(t) != nil && p.CopiedFrom(t).Bytes > 0 {
			tables = append(tables, t)
		}
	}
	slices.SortStableFunc(tables, func(a, b *plans.Table) int { return cmp.Compare(p.CopiedFrom(b).Bytes, p.CopiedFrom(a).Bytes) })
	return tables[:min(len(tables), sampledTables)]
}

func biggestLeaf(s *plans.Source, sizes map[uint32]memberSize) *plans.Member {
	var biggest *plans.Member
	for i := range s.Members {
		m := &s.Members[i]
		if sizes[m.OID].blocks > 0 && (biggest == nil || sizes[m.OID].blocks > sizes[biggest.OID].blocks) {
			biggest = m
		}
	}
	return biggest
}

type sampler struct {
	conn   *pgx.Conn
	plan   *plans.Plan
	table  *plans.Table
	source *plans.Source
	member *plans.Member

	first, last int64 // pages of the piece under way
}

// run reads pieces until the time is up and returns how much that was.
func (s *sampler) run(ctx context.Context, size memberSize) (bytes float64, took time.Duration, err error) {
	perPage := float64(size.bytes) / float64(size.blocks)
	for _, first := range Pieces(size.blocks) {
		s.first, s.last = first, min(first+PiecePages, size.blocks)
		started := time.Now()
		if err := s.read(ctx, s.expressions(), s.table.Where); err != nil {
			return bytes, took, err
		}
		took += time.Since(started)
		bytes += float64(s.last-s.first) * perPage
		if took > sampleTime {
			break
		}
	}
	return bytes, took, nil
}

// Pieces are first pages, spread evenly; one after the other where the table
// is small.
func Pieces(blocks int64) []int64 {
	step := max(blocks/samplePieces, PiecePages)
	var all []int64
	for first := int64(0); first < blocks && len(all) < samplePieces; first += step {
		all = append(all, first)
	}
	return all
}

func (s *sampler) expressions() []string {
	var all []string
	for _, c := range s.table.Columns {
		if c.Expression != "" && !c.Generated && !c.Volatile {
			all = append(all, c.Expression)
		}
	}
	return all
}

// read evaluates expressions on the piece's rows and sends nothing back: a row
// of all values is made, of which only the size is added up.
func (s *sampler) read(ctx context.Context, expressions []string, where string) error {
	return readOnly(ctx, s.conn, s.plan.SearchPath, func(tx pgx.Tx) error {
		var total *int64
		return tx.QueryRow(ctx, sampleSQL(s.source, *s.member, expressions, where),
			fmt.Sprintf("(%d,0)", s.first), fmt.Sprintf("(%d,0)", s.last)).Scan(&total)
	})
}

// readOnly looks at rows in a transaction that waits a second for a lock at most,
// and ends after three.
func readOnly(ctx context.Context, conn *pgx.Conn, searchPath string, look func(pgx.Tx) error) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	_, err = tx.Exec(ctx, `SELECT pg_catalog.set_config('search_path', $1, true), pg_catalog.set_config('lock_timeout', '1s', true),
		pg_catalog.set_config('statement_timeout', '3s', true)`, searchPath)
	if err != nil {
		return err
	}
	return look(tx)
}

// sampleSQL reads a range of pages ($1 to $2) as the copy will.
func sampleSQL(s *plans.Source, m plans.Member, expressions []string, where string) string {
	alias := pg.Ident(s.Name.Name)
	sql := fmt.Sprintf("SELECT pg_catalog.sum(pg_catalog.pg_column_size(ROW(%s\n)))::bigint\nFROM ONLY %s AS %s\n"+
		"WHERE %s.ctid >= $1::pg_catalog.tid AND %s.ctid < $2::pg_catalog.tid",
		strings.Join(expressions, "\n, "), m.Name.Quoted(), alias, alias, alias)
	if where != "" {
		sql += "\n  AND (" + where + "\n)"
	}
	return sql
}

// finding names the expression that failed, by trying each alone on the same
// pages.
func (s *sampler) finding(ctx context.Context, failed *pgconn.PgError) plans.Finding {
	f := plans.Finding{Level: plans.Blocker, Code: "transform-fails", Object: s.table.Production.String(),
		Message: fmt.Sprintf("A transform fails on rows of %s: %s (SQLSTATE %s).", s.member.Name, failed.Message, failed.Code),
		Fix:     "Write an expression that takes every row under tables: in the plan file, or correct the rows."}
	for _, c := range s.table.Columns {
		if c.Expression == "" || c.Generated || c.Volatile {
			continue
		}
		err := s.read(ctx, []string{c.Expression}, s.table.Where)
		var again *pgconn.PgError
		if errors.As(err, &again) && pg.DataError(again.Code) {
			f.Object += "." + c.Shadow
			f.Message = fmt.Sprintf("The transform of %s, %s, fails on a row of %s: %s (SQLSTATE %s).",
				c.Shadow, c.Expression, s.member.Name, again.Message, again.Code)
			break
		}
	}
	return f
}
