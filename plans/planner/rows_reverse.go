package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// A way back is worth what proves it, as a way there is: the sample goes there and
// back, and each column must hold what production does. So a cast that loses is
// found by what it loses, an expression of the plan file's too.

// columnsAtOnce is how many columns are asked about in one query.
const columnsAtOnce = 200

// bringBack sends the sample of one table there and back. What the server refuses
// on the way there was told already, or concerns no row.
func (c *comparison) bringBack(ctx context.Context) error {
	t := c.table
	back := returned(t)
	if t.Feed != plans.Copied || len(back) == 0 || !c.plan.Reversible() {
		return nil
	}
	conn, err := c.connectRows(ctx, c.scratch)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
		if err := c.sendThere(ctx, tx); err != nil {
			if pg.State(err) == "" {
				return err
			}
			return nil
		}
		for columns := range slices.Chunk(back, columnsAtOnce) {
			if err := c.compareBack(ctx, tx, columns); err != nil {
				return err
			}
		}
		return nil
	})
}

// returned are the columns that each row's replay writes in the old table.
func returned(t *plans.Table) (all []plans.Column) {
	for _, c := range t.Reverse {
		if c.Expression != "" && !c.Generated && !c.Kept {
			all = append(all, c)
		}
	}
	return all
}

// sendThere makes of the sample what copying would, whole rows of the upgraded
// table's own types; what its defaults make stays empty.
func (c *comparison) sendThere(ctx context.Context, tx pgx.Tx) error {
	t := c.table
	const there = "pg_temp.pgumbra_there"
	script := []string{"CREATE TEMP TABLE pgumbra_there (LIKE " + t.Shadow.Quoted() + " INCLUDING GENERATED)", "ALTER TABLE " + there + " ADD pgumbra_place text"}
	for _, column := range t.Columns {
		if column.Volatile {
			script = append(script, "ALTER TABLE "+there+" ALTER "+pg.Ident(column.Shadow)+" DROP NOT NULL")
		}
	}
	for _, sql := range script {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := c.asReplayed(ctx, tx); err != nil {
		return err
	}
	names, values := writtenColumns(t)
	_, err := tx.Exec(ctx, "INSERT INTO "+there+" ("+pg.Idents(append(names, "pgumbra_place"))+") SELECT "+
		strings.Join(append(values, placeOf(t.Production.Name)), ", ")+c.copiedFrom())
	return err
}

// compareBack brings some columns back, all at once. Where the server refuses that,
// column by column.
func (c *comparison) compareBack(ctx context.Context, tx pgx.Tx, columns []plans.Column) error {
	counts, keys, err := c.differing(ctx, tx, columns)
	switch refused := new(pgconn.PgError); {
	case err == nil:
	case !errors.As(err, &refused) || pg.Unreachable(err):
		return err
	case len(columns) > 1:
		for _, one := range columns {
			if err := c.compareBack(ctx, tx, []plans.Column{one}); err != nil {
				return err
			}
		}
		return nil
	default:
		c.lossy(columns[0], fmt.Sprintf("rows of the sample do not come back by the expression %s: %s (SQLSTATE %s)", columns[0].Meaning(), serverMessage(withoutRow(refused)), refused.Code))
		return nil
	}
	for i, n := range counts {
		if n > 0 {
			c.differently(columns[i], fmt.Sprint(n), keys[i])
		}
	}
	return nil
}

// differently tells a column of which so many rows of the sample have another value
// when they come back.
func (c *comparison) differently(column plans.Column, rows, example string) {
	of := human.Plural(len(c.ours), "row") + " of the sample"
	switch t := c.table; {
	case len(t.Reverse) == 0: // another column of its key has told
	case c.plan.Sources[t.Source].Keyed(column.Shadow) && !plans.SpeltAnyhow(column.Type):
		c.loseKey(t, &column, rows+" of "+of, example)
	default:
		c.lossy(column, comesBackOtherwise(rows, of, &column, example))
	}
}

// comesBackOtherwise says so of n rows of those that were asked about; example names one.
func comesBackOtherwise(n, of string, column *plans.Column, example string) string {
	return fmt.Sprintf("on %s of %s, the value that comes back by the expression %s is not production's%s: a row that is changed after the cutover would have another value after a rollback",
		n, of, column.Meaning(), example)
}

func fixOfLossy(t *plans.Table) string {
	return "write an expression that gives production's value under tables: " + t.Production.String() + " reverse:, or nothing if there is no need to go back"
}

// lossy tells a column of which the server refuses to bring the sample back, or brings
// back other values.
func (c *comparison) lossy(column plans.Column, message string) {
	t := c.table
	c.noteLoss(t, column.Shadow, func(known *plans.Column) { known.Loss, known.Held = "rows of production hold today", true })
	c.find(plans.Finding{Level: c.lossLevel(), Code: "reverse-lossy", Object: t.Production.String() + "." + column.Shadow, Where: c.reverseLine(t, column.Shadow), Message: message,
		Fix: fixOfLossy(t), Sampled: true})
}

// differing counts the rows of which a column comes back as another value, and names
// one by its key.
func (c *comparison) differing(ctx context.Context, tx pgx.Tx, columns []plans.Column) (counts []int, keys []string, err error) {
	point, err := tx.Begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = point.Rollback(context.WithoutCancel(ctx)) }()
	t := c.table
	var names, values, differ []string
	for _, column := range columns {
		names, values = append(names, column.Shadow), append(values, column.Expression)
		differ = append(differ, fmt.Sprintf("pg_catalog.record_image_ne(ROW(b.%[1]s), ROW(p.%[1]s))", pg.Ident(column.Shadow)))
	}
	source := &c.plan.Sources[t.Source]
	whole := ownRows(t.Production, source.Kind == plans.Partitioned)
	for _, sql := range []string{
		"CREATE TEMP TABLE pgumbra_back AS SELECT " + pg.Idents(names) + ", NULL::text AS pgumbra_place FROM " + whole + " LIMIT 0",
		"INSERT INTO pg_temp.pgumbra_back SELECT " + strings.Join(values, ", ") + ", pgumbra_place FROM pg_temp.pgumbra_there AS " + pg.Ident(t.Final.Name),
	} {
		if _, err := point.Exec(ctx, sql); err != nil {
			return nil, nil, err
		}
	}
	var count, first []string
	for _, condition := range differ {
		count = append(count, "pg_catalog.count(*) FILTER (WHERE "+condition+")")
		first = append(first, "coalesce(pg_catalog.min("+spelledKey(source, "p")+") FILTER (WHERE "+condition+"), '')")
	}
	err = point.QueryRow(ctx, "SELECT ARRAY["+strings.Join(count, ", ")+"]::int[], ARRAY["+strings.Join(first, ", ")+"]::text[] FROM pg_temp.pgumbra_back AS b JOIN "+
		whole+" AS p ON b.pgumbra_place = "+placeOf("p")).Scan(&counts, &keys)
	return counts, keys, err
}

// spelledKey is SQL for a row's key as people read it, after a comma.
func spelledKey(s *plans.Source, alias string) string {
	if len(s.Key) == 0 {
		return "''"
	}
	var parts []string
	for _, k := range s.Key {
		parts = append(parts, pg.Literal(k.Name+" = ")+" || pg_catalog.left("+alias+"."+pg.Ident(k.Name)+"::text, 60)")
	}
	return "', in the row with ' || pg_catalog.concat_ws(', ', " + strings.Join(parts, ", ") + ") || ', say'"
}
