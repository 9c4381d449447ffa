package cutover

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

//go:embed sql/views.sql
var viewsSQL string

// view is a materialized view of production's, as its row in the catalog tells.
type view struct {
	name      pg.Name
	mark      string // another one after each REFRESH
	populated bool
	comment   *string
}

// filled is what the shadow's materialized view was filled after.
type filled struct {
	mark string        // of production's view, as it was before; empty: it has none
	at   time.Time     // when
	took time.Duration // the refresh
	lent bool          // rights were lent for it, which the fence has no time for
}

// Contents say whether a materialized view is to hold rows.
type Contents int

// The contents.
const (
	WithData Contents = iota
	WithNoData
)

// staleAfter is how old a view that the migrations made may be before an attempt
// fills it again, where that is not done behind the fence.
const staleAfter = time.Minute

// FreshenViews fills the shadow's materialized views that production's may be
// ahead of: those that production has refreshed since, and those that the
// migrations made more than a minute ago. Production's marks are read first, then
// all is replayed, then the views are filled, so that none shows older data than
// production's did when its mark was read. Locks nothing in production.
func (c *Cutover) FreshenViews(ctx context.Context) error {
	views := c.Upgrade.Plan.MaterializedViews()
	if len(views) == 0 {
		return nil
	}
	production, err := c.productionViews(ctx, c.Sides.Production)
	if err != nil {
		return err
	}
	stale := slices.DeleteFunc(slices.Clone(views), func(v plans.Matview) bool {
		f, ever := c.views[v.Shadow]
		return ever && f.mark == production[v.Production].mark && (!v.Made || time.Since(f.at) < staleAfter)
	})
	if len(stale) == 0 {
		return nil
	}
	if err := c.Parts.CatchUp(ctx); err != nil {
		return err
	}
	for _, v := range stale {
		if err := c.fillView(ctx, v, production[v.Production]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cutover) fillView(ctx context.Context, v plans.Matview, production view) error {
	contents := WithNoData
	if v.Filled || !v.Made && production.populated {
		contents = WithData
	}
	began := time.Now()
	lent, err := c.Parts.RefreshView(ctx, v.Shadow, contents)
	if err != nil {
		return fmt.Errorf("fill %s: %w", v.Shadow, err)
	}
	if c.views == nil {
		c.views = map[pg.Name]filled{}
	}
	c.views[v.Shadow] = filled{mark: production.mark, at: began, took: time.Since(began), lent: lent}
	return nil
}

func (c *Cutover) productionViews(ctx context.Context, db pg.Querier) (map[pg.Name]view, error) {
	schemas, _ := c.Upgrade.Plan.SchemaNames()
	rows, err := db.Query(ctx, viewsSQL, schemas)
	if err != nil {
		return nil, fmt.Errorf("list the materialized views: %w", err)
	}
	all := map[pg.Name]view{}
	var v view
	_, err = pgx.ForEachRow(rows, []any{&v.name.Schema, &v.name.Name, &v.mark, &v.populated, &v.comment}, func() error {
		all[v.name] = v
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the materialized views: %w", err)
	}
	return all, nil
}

// holdViews keeps REFRESH away from production's materialized views until the
// attempt ends, readers never: LOCK TABLE refuses materialized views, and a comment
// that is given once more takes SHARE UPDATE EXCLUSIVE. Before the fence, since a
// REFRESH may take long. What was refreshed since the shadow's view was filled
// would go back in time.
func (a *attempt) holdViews(ctx context.Context) error {
	views := a.plan.MaterializedViews()
	if len(views) == 0 {
		return nil
	}
	before, err := a.c.productionViews(ctx, a.observer)
	if err != nil {
		return err
	}
	if locks := viewLocks(views, before); len(locks) > 0 {
		if err := a.watched(ctx, strings.Join(locks, ";\n")); err != nil {
			return err
		}
	}
	now, err := a.c.productionViews(ctx, a.observer)
	if err != nil {
		return err
	}
	return a.serveRefreshed(ctx, views, now)
}

// serveRefreshed fills once more, of the shadow's materialized views, those that
// production refreshed since: now nobody can do so again, for clients may refresh
// one without a pause, and an attempt would never begin. Whoever refreshes waits, for
// at most half of max_stall; what took longer than a quarter the last time is refused.
func (a *attempt) serveRefreshed(ctx context.Context, views []plans.Matview, now map[pg.Name]view) error {
	stale := slices.DeleteFunc(slices.Clone(views), func(v plans.Matview) bool {
		return a.c.views[v.Shadow].mark == now[v.Production].mark
	})
	if len(stale) == 0 {
		return nil
	}
	began, budget := time.Now(), a.c.settings().MaxStall/2
	var took time.Duration
	for _, v := range stale {
		f := a.c.views[v.Shadow]
		if took += f.took; f.lent || took > budget/2 {
			return refuse(refreshed(stale)...)
		}
	}
	if err := a.c.Parts.CatchUp(ctx); err != nil {
		return err
	}
	for _, v := range stale {
		if err := a.c.fillView(ctx, v, now[v.Production]); err != nil {
			return err
		}
	}
	if time.Since(began) > budget {
		return refuse(refreshed(stale)...)
	}
	return nil
}

func refreshed(views []plans.Matview) (all []Blocker) {
	for _, v := range views {
		all = append(all, Blocker{Code: "view-refreshed", Message: "production refreshed " + v.Production.String() + " while the attempt began",
			Fix: "it is tried again; if this comes every time, let the job that refreshes it pause"})
	}
	return all
}

func viewLocks(views []plans.Matview, production map[pg.Name]view) []string {
	var locks []string
	for _, v := range views {
		p, there := production[v.Production]
		if !there {
			continue
		}
		comment := "NULL"
		if p.comment != nil {
			comment = pg.Literal(*p.comment)
		}
		locks = append(locks, "COMMENT ON MATERIALIZED VIEW "+p.name.Quoted()+" IS "+comment)
	}
	return locks
}

// fillMade fills what the migrations made, which in place would show the moment
// that they ran, if all of it takes no more than a quarter of max_stall: that long
// each took the last time.
func (a *attempt) fillMade(ctx context.Context) error {
	var made []plans.Matview
	var took time.Duration
	for _, v := range a.plan.MaterializedViews() {
		if f := a.c.views[v.Shadow]; v.Made && v.Filled && !f.lent {
			made = append(made, v)
			took += f.took
		}
	}
	if took > a.c.settings().MaxStall/4 {
		return nil
	}
	for _, v := range made {
		if err := a.c.fillView(ctx, v, view{mark: a.c.views[v.Shadow].mark}); err != nil {
			return err
		}
	}
	return nil
}
