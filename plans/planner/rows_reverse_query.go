package planner

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// A query of reverse: is proved where the migrations made the upgraded tables of the
// sample: what it gives there must be the rows that production has.

// queriesBring tells of each such query which rows of the sample it gives otherwise.
func (p *proof) queriesBring(ctx context.Context) error {
	for i := range p.plan.Sources {
		s := &p.plan.Sources[i]
		t := p.production.ByName(s.Name)
		if s.Back == nil || t == nil || len(s.Key) == 0 || p.unread(t) || p.plan.Behind != nil {
			continue
		}
		if err := p.queryBrings(ctx, s); err != nil {
			return fmt.Errorf("prove the query of reverse: of %s: %w", s.Name, err)
		}
	}
	return nil
}

func (p *proof) queryBrings(ctx context.Context, s *plans.Source) error {
	rules := p.file.Tables[slices.IndexFunc(p.file.Tables, func(r planfile.TableRules) bool { return r.Name == s.Name && r.ReverseFrom.SQL != "" })]
	columns := slices.DeleteFunc(slices.Clone(s.Back.Columns), func(c plans.Column) bool { return c.Expression == "" || c.Generated || c.Kept })
	slices.SortStableFunc(columns, func(a, b plans.Column) int { return keysFirst(s, a) - keysFirst(s, b) })
	query := strings.TrimRight(strings.TrimSpace(rules.ReverseFrom.SQL), ";")
	given, err := p.readBack(ctx, p.rowsScratch, columns, "("+query+"\n) AS pgumbra_from")
	if pg.State(err) != "" {
		p.findBack(s, "", rules.ReverseFrom.Line, fmt.Sprintf("the query of reverse: fails on what the migrations made of the sample: %s (SQLSTATE %s)", serverMessage(withoutRow(err)), pg.State(err)))
		return nil
	}
	if err != nil {
		return err
	}
	for i := range given {
		for j := range given[i] {
			given[i][j] = p.scratch.unmask(given[i][j])
		}
	}
	was, err := p.readBack(ctx, p.scratch, columns, ownRows(s.Name, s.Kind == plans.Partitioned))
	if err != nil {
		return err
	}
	for _, text := range differingRows(s, columns, was, given) {
		p.findBack(s, text.column, rules.ReverseFrom.Line, text.message)
	}
	return nil
}

// keysFirst sorts the key's columns before the others.
func keysFirst(s *plans.Source, c plans.Column) int {
	if i := slices.IndexFunc(s.Key, func(k plans.KeyColumn) bool { return k.Name == c.Shadow }); i >= 0 {
		return i
	}
	return len(s.Key)
}

// readBack reads rows as COPY writes them, each column as the old table's type.
func (p *proof) readBack(ctx context.Context, from *scratch, columns []plans.Column, rows string) ([][]string, error) {
	conn, err := p.connectRows(ctx, from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var values []string
	for _, c := range columns {
		value := pg.Ident(c.Shadow)
		if !strings.Contains(c.Type, ".") { // one of the user's may be another one by now
			value += "::" + c.Type
		}
		values = append(values, value)
	}
	var text bytes.Buffer
	err = pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
		if err := (&comparison{proof: p}).asReplayed(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Conn().PgConn().CopyTo(ctx, &text, "COPY (SELECT "+strings.Join(values, ", ")+" FROM "+rows+") TO STDOUT")
		return err
	})
	return splitRows(text.String()), err
}

// givenOtherwise is one thing that a query does not give as production has it.
type givenOtherwise struct{ column, message string }

// differingRows compares rows by their keys, which come first in each.
func differingRows(s *plans.Source, columns []plans.Column, was, given [][]string) (all []givenOtherwise) {
	key := func(row []string) string { return strings.Join(row[:len(s.Key)], "\t") }
	there := map[string][]string{}
	for _, row := range given {
		there[key(row)] = row
	}
	missing, differ := []string{}, make([][]string, len(columns))
	for _, row := range was {
		other, ok := there[key(row)]
		if !ok {
			missing = append(missing, keyTold(s, row))
			continue
		}
		for i := range row {
			if row[i] != other[i] {
				differ[i] = append(differ[i], keyTold(s, row))
			}
		}
	}
	of := human.Plural(len(was), "row")
	if len(missing) > 0 {
		all = append(all, givenOtherwise{"", fmt.Sprintf("of %d of %s of the sample, as the one with %s, the query of reverse: gives none: verification will find that after the cutover, and refuse a rollback", len(missing), of, missing[0])})
	}
	for i, c := range columns {
		if n := len(differ[i]); n > 0 {
			all = append(all, givenOtherwise{c.Shadow, fmt.Sprintf("on %d of %s of the sample, as the one with %s, the query of reverse: gives another value than production's: verification will find that after the cutover, and refuse a rollback", n, of, differ[i][0])})
		}
	}
	return all
}

func keyTold(s *plans.Source, row []string) string {
	var parts []string
	for i, k := range s.Key {
		parts = append(parts, k.Name+" = "+row[i])
	}
	return strings.Join(parts, ", ")
}

func (p *proof) findBack(s *plans.Source, column string, line int, message string) {
	object := s.Name.String()
	if column != "" {
		object += "." + column
	}
	level := p.lossLevel()
	if !p.wholeSample() {
		level, message = plans.Warning, message+"; the sample is a part of production, and may lack rows that the query joins"
	}
	p.find(plans.Finding{Level: level, Code: "reverse-lossy", Object: object, Where: p.file.WhereLine(line), Message: message,
		Fix: "correct the query under tables: " + s.Name.String() + " reverse: from:, so that it gives what production holds"})
}

// wholeSample: all of production's rows are in it.
func (p *proof) wholeSample() bool {
	return !slices.ContainsFunc(p.sample.ordered(), func(t *drawn) bool { return t.cut != "" || t.count >= int64(p.file.Scratch.Rows) })
}
