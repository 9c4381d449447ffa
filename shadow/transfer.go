package shadow

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// transfer copies rows of one production table into the shadow, pages nil for all
// of it, and counts them.
func (c *Copier) transfer(ctx context.Context, e ends, t *plans.Table, member pg.Name, pages *pageRange) (int64, error) {
	switch {
	case e.remote():
		return c.sendRows(ctx, e, t, rowsOf(c.Run.Plan, t, member, pages.literal()))
	case pages == nil:
		tag, err := e.shadow.Exec(ctx, copySQL(c.Run.Plan, t, member, nil))
		return tag.RowsAffected(), err
	}
	tag, err := e.shadow.Exec(ctx, copySQL(c.Run.Plan, t, member, byPages), pgx.QueryExecModeExec, pages.first, pages.last)
	return tag.RowsAffected(), err
}

func (c *Copier) transferDerived(ctx context.Context, e ends, t *plans.Table) (int64, error) {
	if e.remote() {
		return c.sendRows(ctx, e, t, derived(t))
	}
	tag, err := e.shadow.Exec(ctx, insertSQL(t, derived(t)))
	return tag.RowsAffected(), err
}

// sendRows leads rows into another database by COPY on both sides. COPY FROM
// writes identity columns whatever they are, and computes what is left out.
func (c *Copier) sendRows(ctx context.Context, e ends, t *plans.Table, rows selection) (int64, error) {
	if len(rows.columns) == 0 {
		return countRows(ctx, e, t, rows)
	}
	types, err := c.typesOf(ctx, e.production, t, rows.columns)
	if err != nil {
		return 0, err
	}
	format := pg.FormatOf(types)
	return pg.Pipe(ctx, e.production.Conn().PgConn(), pg.CopyTo(sendSQL(types, rows), format),
		e.shadow.Conn().PgConn(), pg.CopyFrom(t.Shadow.Quoted(), names(rows.columns), format))
}

// sendSQL casts each value to the type that it travels as: what it then becomes
// on the shadow is decided by that side's input functions, as by an assignment.
func sendSQL(types []pg.ColumnType, rows selection) string {
	sent := make([]string, len(types))
	for i, x := range expressions(rows.columns) {
		sent[i] = "(" + x + "\n)::" + types[i].Sent
	}
	return selectSQL(sent, rows)
}

// typesOf reads the types of a shadow table's columns off the skeleton, once.
func (c *Copier) typesOf(ctx context.Context, production pg.Querier, t *plans.Table, columns []plans.Column) ([]pg.ColumnType, error) {
	c.look.Lock()
	defer c.look.Unlock()
	if c.types == nil {
		c.types = map[int]map[string]pg.ColumnType{}
	}
	if c.types[t.N] == nil {
		all, err := pg.ColumnTypes(ctx, production, t.Shadow)
		if err != nil {
			return nil, err
		}
		c.types[t.N] = map[string]pg.ColumnType{}
		for _, column := range all {
			c.types[t.N][column.Column] = column
		}
	}
	return pick(c.types[t.N], t, columns)
}

func pick(byName map[string]pg.ColumnType, t *plans.Table, columns []plans.Column) ([]pg.ColumnType, error) {
	types := make([]pg.ColumnType, len(columns))
	for i, c := range columns {
		var known bool
		if types[i], known = byName[c.Shadow]; !known {
			return nil, fmt.Errorf("the skeleton in production has no column %s of %s", c.Shadow, t.Shadow)
		}
	}
	return types, nil
}

// countRows serves tables of which no column is written: COPY has no way to say
// that of a table that has some.
func countRows(ctx context.Context, e ends, t *plans.Table, rows selection) (int64, error) {
	var n int64
	if err := e.production.QueryRow(ctx, selectSQL([]string{"pg_catalog.count(*)"}, rows)).Scan(&n); err != nil {
		return 0, err
	}
	tag, err := e.shadow.Exec(ctx, "INSERT INTO "+t.Shadow.Quoted()+" SELECT FROM pg_catalog.generate_series(1, $1::bigint)", n)
	return tag.RowsAffected(), err
}
