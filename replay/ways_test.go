package replay

import (
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// way is one of those that rows go: where the shadow is, and in which direction.
type way struct {
	name   string
	remote bool // the shadow is in another database than production
	back   bool // the ends are exchanged: rows go from the new side to the old one
}

var ways = []way{
	{name: "local"}, {name: "remote", remote: true},
	{name: "local, back", back: true}, {name: "remote, back", remote: true, back: true},
}

// maker makes the structure, lets define fill in the plan, and installs
// capture. Tables stand copied, as of before anything happens.
type maker func(t testing.TB, structure string, define func(w *world, p *plans.Plan)) *world

// eachWay runs a test with the shadow in production's database and in another, with
// rows that go there and back: two of these four each time.
func eachWay(t *testing.T, test func(t *testing.T, newWorld maker)) {
	t.Helper()
	for _, way := range testcontainers.Some(t, ways, 2) {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			test(t, way.make)
		})
	}
}

func (y way) make(t testing.TB, structure string, define func(w *world, p *plans.Plan)) *world {
	t.Helper()
	production := testcontainers.Database(t)
	shadow := production
	if y.remote {
		shadow = testcontainers.Database(t)
	}
	return y.in(t, production, shadow, structure, define)
}

// local and remote are of rows that go there.
func local(t testing.TB, structure string, define func(w *world, p *plans.Plan)) *world {
	t.Helper()
	return way{}.make(t, structure, define)
}

func remote(t testing.TB, structure string, define func(w *world, p *plans.Plan)) *world {
	t.Helper()
	return way{remote: true}.make(t, structure, define)
}

// worldIn is a run whose rows go from production to the shadow.
func worldIn(t testing.TB, production, shadow, structure string, define func(w *world, p *plans.Plan)) *world {
	t.Helper()
	return way{remote: shadow != production}.in(t, production, shadow, structure, define)
}

func (y way) in(t testing.TB, production, shadow, structure string, define func(w *world, p *plans.Plan)) *world {
	t.Helper()
	w := &world{t: t, dsn: production}
	w.bound(production, shadow)
	from := w.open(production, structure)
	to := from
	if y.remote {
		to = w.open(shadow, structure)
	}
	w.pool, w.sides = from, y.sides(from, to)
	plan := &plans.Plan{Run: "test", SearchPath: "shop", Settings: plans.DefaultSettings(), Remote: y.remote}
	if y.back {
		plan.Direction = plans.Back
		w.pool = w.clients(production)
	}
	define(w, plan)
	for i := range plan.Sources {
		plan.Sources[i].N = i
	}
	for i := range plan.Tables {
		plan.Tables[i].N = i
	}
	w.record(plan)
	if y.back {
		w.turn()
	} else {
		w.must(capture.Install(w.ctx, from, w.run, slog.New(slog.DiscardHandler)))
	}
	w.r = w.replayer()
	for i := range plan.Tables {
		w.copy(&plan.Tables[i], control.FollowingState)
	}
	w.must(control.Mirror(w.ctx, w.sides, w.run))
	return w
}

// sides between which rows go this way.
func (y way) sides(from, to *pgxpool.Pool) control.Sides {
	if y.back {
		return control.Sides{Production: to, Shadow: from}.Reversed()
	}
	return control.Sides{Production: from, Shadow: to}
}

// between are the world's sides by other pools.
func (w *world) between(from, to *pgxpool.Pool) control.Sides {
	return way{back: w.run.Plan.Backwards()}.sides(from, to)
}

// clients are sessions that are not the run's: what these write on the new side its
// triggers leave out.
func (w *world) clients(dsn string) *pgxpool.Pool {
	w.t.Helper()
	pool, err := pg.NewPoolWith(w.ctx, dsn, 16, pg.Options{Component: "client", SearchPath: "shop"},
		func(c *pgxpool.Config) { delete(c.ConnConfig.RuntimeParams, pg.SessionSetting) })
	w.must(err)
	w.t.Cleanup(pool.Close)
	return pool
}

// record records the run where production was when it began, and on the other side if
// that is another database.
func (w *world) record(plan *plans.Plan) {
	w.t.Helper()
	var err error
	w.run, err = control.Create(w.ctx, w.sides.Record(), plan)
	w.must(err)
	if !w.sides.Remote() {
		return
	}
	other := w.sides.Shadow
	if other == w.sides.Record() {
		other = w.sides.Production
	}
	origin, err := control.ReadOrigin(w.ctx, w.sides.Record())
	w.must(err)
	w.must(control.Adopt(w.ctx, other, w.run, origin))
}

// turn does what a swap has done when rows begin to go back: the new tables are
// captured, as the cutover prepares it, and both records have the other flow.
func (w *world) turn() {
	w.t.Helper()
	there := *w.run
	there.Plan = forth(w.run.Plan)
	w.must(capture.PrepareReverse(w.ctx, w.sides.Production, &there))
	w.must(capture.RecordReverse(w.ctx, w.sides.Production, &there))
	origin, err := control.ReadOrigin(w.ctx, w.sides.Production)
	w.must(err)
	text, err := pg.JSON(origin)
	w.must(err)
	for _, side := range []*pgxpool.Pool{w.sides.Production, w.sides.Shadow} {
		_, err := side.Exec(w.ctx, `UPDATE pgumbra.run SET flow = 'reverse', phase = 'watching', origin_back = $1`, text)
		w.must(err)
	}
	w.run.Phase, w.run.Flow = control.Watching, plans.Back
}

// forth is a plan whose new tables are the sources of a way back.
func forth(back *plans.Plan) *plans.Plan {
	p := &plans.Plan{Run: back.Run, SearchPath: back.SearchPath, Settings: back.Settings, Remote: back.Remote}
	for _, s := range back.Sources {
		t := plans.Table{N: s.N, Shadow: s.Name, Final: s.Name, Feed: plans.Copied, Kind: s.Kind, Source: s.N}
		for _, c := range s.Columns {
			t.Columns = append(t.Columns, plans.Column{Shadow: c.Name, Type: c.Type, Generated: c.Generated})
		}
		for _, k := range s.Key {
			t.Key = append(t.Key, plans.Pair{Production: k.Name, Shadow: k.Name, Expression: pg.Ident(k.Name), Type: k.Type, Equals: k.Equals})
		}
		old := plans.Source{N: s.N, Name: s.Name, Kind: s.Kind, Record: s.Record}
		if len(s.Tracked) > 0 { // rows of the old side are found by them
			old.Back = &plans.BackQuery{Watches: []plans.Watch{{Source: s.N}}}
			for _, c := range s.Tracked {
				old.Back.Watches[0].Columns = append(old.Back.Watches[0].Columns, plans.WatchPair{Column: c})
			}
		}
		p.Tables, p.Sources = append(p.Tables, t), append(p.Sources, old)
	}
	return p
}
