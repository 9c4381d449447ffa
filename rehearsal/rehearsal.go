// Package rehearsal goes through a whole upgrade on a disposable server, under
// generated traffic, and compares the result with what the migrations make in
// place: structure, rows, sequences. Its [Oracle] is that of the tests too.
//
// It works on servers and databases of its own only. Production is read at most,
// where a plan file names one. Everything it makes ends with the process that
// made it; what a killed one left is removed by the next.
//
// It is one package since its phases work on the same servers, plan and result, one after
// the other. What knows of none of them is apart: the rows are made in package generate,
// clients are in package workload, and package report shows the result.
package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/migrations"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/planner/estimate"
	"github.com/pgumbra/pgumbra/rehearsal/generate"
	"github.com/pgumbra/pgumbra/rehearsal/workload"
	"github.com/pgumbra/pgumbra/upgrade"
)

// Options of [Run].
type Options struct {
	Seed  uint64 // of rows and traffic
	Major int    // of the disposable server; 0: whichever is installed
	// ShadowMajor is that of the shadow's, where the plan file leads to another server;
	// 0: as Major.
	ShadowMajor int
	Gates       Gates
	// Dump is a file of pg_dump's, plain or custom, from which structure and rows
	// come; empty: from production.dsn, or where that is empty from the migrations.
	Dump string
	// Window is for how long throughput is measured, before the run and while it
	// follows; default 3 s.
	Window time.Duration
	Log    *slog.Logger
}

func (o Options) shadowMajor() int { return cmp.Or(o.ShadowMajor, o.Major) }

const (
	standardWindow = 3 * time.Second
	// after the cutover clients go on for so long, in the new structure.
	after = 1500 * time.Millisecond
	// patience is how long a run that follows may be in the way of its own cutover.
	patience = 5 * time.Minute
)

// rehearsal is one of them under way. Its phases are a table (see goThrough), whose rows
// are its methods; making rows, clients and comparing are packages and types of their own.
type rehearsal struct {
	given   *planfile.File
	folder  *migrations.Folder
	file    *planfile.File // as given, with production on the disposable server
	o       Options
	window  span // of migrations
	servers servers
	unbound func() bool // servers end with the context until this is called; nil: they do not run yet
	clients *workload.Clients
	plan    *plans.Plan
	twin    twin
	ours    ownParts       // of a run under way, that the dump holds
	asks    []generate.Ask // what the migrations ask of generated rows
	// withoutRows: the migrations went well on no rows; nil: not tried yet.
	withoutRows *bool
	result      *Result
}

// Run rehearses what a plan file says. A result that did not pass is no error; an
// error is that there is none: a [*plans.FileError] of plan file or migrations,
// [*NoServerError], [*NoRoomError], [*StructureError], or the context's. With
// [upgrade.ErrNothingToDo] comes a result that says so.
func Run(ctx context.Context, file *planfile.File, o Options) (*Result, error) {
	began := time.Now()
	r := &rehearsal{o: o, result: newResult(file.Name, o.Seed, began)}
	if err := r.choose(file); err != nil {
		return r.unlessNothing(err)
	}
	if err := r.reachProduction(ctx); err != nil {
		return nil, err
	}
	err := r.goThrough(ctx)
	if ctx.Err() != nil {
		err = ctx.Err() // of what the servers' end broke off nobody wants to hear
	}
	if r.unbound != nil {
		r.unbound()
	}
	if err = errors.Join(err, r.servers.stop(ctx)); err != nil {
		return r.unlessNothing(err)
	}
	r.result.Seconds = time.Since(began).Seconds()
	if busy := estimate.Busy(); busy != "" {
		r.result.Notes = append(r.result.Notes, "this machine is busy ("+busy+"): times are longer than on a quiet one")
	}
	r.judge()
	return r.result, nil
}

// reachProduction is an error where rows are to come from production, and it does not answer:
// before any server is started.
func (r *rehearsal) reachProduction(ctx context.Context) error {
	if r.from() != fromProduction {
		return nil
	}
	if err := (Oracle{}).reading(ctx, r.given.Production.DSN, func(*pgx.Conn) error { return nil }); err != nil {
		return fmt.Errorf("production: %w", err)
	}
	return nil
}

// unlessNothing is the result where an error says that there is nothing to do; no result otherwise.
func (r *rehearsal) unlessNothing(err error) (*Result, error) {
	if !errors.Is(err, upgrade.ErrNothingToDo) {
		return nil, err
	}
	r.result.Nothing, r.result.Passed = true, true
	return r.result, err
}

// goThrough is the whole of it on one screen. What fails as an upgrade may, ends
// it early and is a gate.
func (r *rehearsal) goThrough(ctx context.Context) error {
	for _, phase := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"start a server", r.start},
		{"make production's structure", r.structure},
		{toPrepare, r.prepareShadow},
		{makingRows, r.rows},
		{upgrading, r.underTraffic},
		{"copy the rows at the fence", r.keepFence},
		{"finish", r.finish},
		{comparing, r.compare},
	} {
		if phase.name == toPrepare && !r.remote() {
			continue
		}
		r.o.Log.Info("rehearsing", "step", phase.name)
		began := time.Now()
		err := phase.do(ctx)
		r.result.Phases = append(r.result.Phases, Phase{phase.name, time.Since(began).Seconds()})
		if gate := r.failed(err); gate != nil && ctx.Err() == nil {
			r.result.Gates = append(r.result.Gates, *r.blame(ctx, gate))
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", phase.name, noRoom(err))
		}
	}
	return nil
}

// rows fills production, and keeps its structure without them for the twins.
func (r *rehearsal) rows(ctx context.Context) error {
	if err := database(ctx, r.servers.production.DSN("postgres"), pristine, production); err != nil {
		return err
	}
	var err error
	if r.twin.settings, err = settingsOf(ctx, r.file.Production.DSN); err != nil {
		return err
	}
	options := generate.Options{Seed: r.o.Seed, Rules: r.rules(), Leave: []pg.Name{r.twin.version}}
	var failed *failedMigration
	if err := r.askMigrations(ctx, options); err != nil && (r.from() == fromMigrations || !errors.As(err, &failed)) {
		return err
	}
	options.Asks = r.asks // of clients too, whatever the rows are
	r.clients = r.withClients()
	r.clients.Generate = options
	r.result.Traffic.Clients = r.clients.Number
	fill := func(ctx context.Context) error { return r.generate(ctx, options) }
	if r.from() == fromProduction {
		fill = r.sample
	}
	if err := fill(ctx); err != nil {
		return err
	}
	if r.from() == fromMigrations {
		r.clients.Generate.Seeded = generate.KeptIn(r.result.Data.Tables)
	}
	var size int64
	err = r.execute(ctx, func(conn *pgx.Conn) error {
		// Here nobody has rights to lose; whether a superuser may run it is production's plan to say.
		return conn.QueryRow(ctx, "SELECT pg_database_size(current_database()), ARRAY(SELECT rolname::text FROM pg_roles)").Scan(&size, &r.file.Settings.Trust)
	})
	if err != nil {
		return err
	}
	return room(copies*size, "the upgrade of "+human.Bytes(size))
}

// generate makes rows for the tables that have none.
func (r *rehearsal) generate(ctx context.Context, o generate.Options) error {
	return Oracle{}.reading(ctx, r.file.Production.DSN, func(conn *pgx.Conn) error {
		m, err := generate.Read(ctx, conn, o)
		if err != nil {
			return err
		}
		r.result.Data.Tables, r.result.Data.Gaps, err = m.Fill(ctx, conn, r.file.Rehearse.Rows)
		r.placeGaps(r.result.Data.Gaps)
		return err
	})
}

// rules are the user's own expressions for rows.
func (r *rehearsal) rules() map[pg.Name]map[string]string {
	rules := map[pg.Name]map[string]string{}
	for _, t := range r.file.Tables {
		for column, e := range t.Generate {
			if rules[t.Name] == nil {
				rules[t.Name] = map[string]string{}
			}
			rules[t.Name][column] = e.SQL
		}
	}
	return rules
}

// underTraffic goes through the run while clients work.
func (r *rehearsal) underTraffic(ctx context.Context) error {
	if err := r.clients.Learn(ctx); err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.clients.Run(working) })
	group.Go(func() error {
		defer stop()
		return r.upgrade(ctx)
	})
	err := group.Wait()
	r.result.Traffic.Counts = r.clients.Count()
	return err
}

func (r *rehearsal) upgrade(ctx context.Context) (err error) {
	if r.result.Traffic.Before, err = r.throughput(ctx); err != nil {
		return err
	}
	return r.thereAndBack(ctx)
}

// there leads the run beside the steps to its cutover.
func (r *rehearsal) there(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	leading, stop := context.WithCancel(ctx)
	group.Go(func() error {
		err := upgrade.Run(leading, r.file, upgrade.Options{Log: r.o.Log})
		if leading.Err() != nil && ctx.Err() == nil {
			return nil // stopped on purpose
		}
		return err
	})
	group.Go(func() error {
		defer stop()
		return r.throughCutover(ctx)
	})
	return group.Wait()
}

func (r *rehearsal) throughCutover(ctx context.Context) (err error) {
	r.clients.Pace(workload.Calm)
	err = r.untilReady(ctx)
	r.clients.Pace(workload.Busy)
	if err != nil {
		return err
	}
	if r.result.Traffic.Following, err = r.throughput(ctx); err != nil {
		return err
	}
	r.o.Log.Info("rehearsing", "step", "compare every row while clients work")
	verdicts, err := upgrade.Verify(ctx, r.file, r.o.Log)
	if err != nil {
		return err
	}
	for _, v := range verdicts {
		if !v.Verdict.Equal {
			return &upgrade.Different{Table: v.Table, Verdict: v.Verdict}
		}
	}
	if r.twin.sequences, err = standing(ctx, r.file.Production.DSN); err != nil {
		return err
	}
	r.clients.ForgetLongest()
	r.o.Log.Info("rehearsing", "step", "cut over")
	// What becomes of it the leader tells, with the same log.
	if err := upgrade.Cutover(ctx, r.file, upgrade.Options{Log: slog.New(slog.DiscardHandler)}); err != nil {
		return err
	}
	if err := wait(ctx, after); err != nil {
		return err
	}
	return r.stillThere(ctx)
}

// errUndone: a cutover must last until somebody goes back.
var errUndone = errors.New("the cutover was undone, and nobody had asked for it")

// stillThere makes sure that clients are led to the new side yet.
func (r *rehearsal) stillThere(ctx context.Context) error {
	s, err := upgrade.ReadStatus(ctx, r.file)
	if err == nil && (s.Phase == nil || !s.Phase.Swapped()) {
		err = errUndone
	}
	return err
}

// throughput is how many transactions the clients end in a second.
func (r *rehearsal) throughput(ctx context.Context) (float64, error) {
	r.o.Log.Info("rehearsing", "step", "measure how many transactions clients end in a second")
	before, began := r.clients.Count().Done(), time.Now()
	if err := wait(ctx, cmp.Or(r.o.Window, standardWindow)); err != nil {
		return 0, err
	}
	return float64(r.clients.Count().Done()-before) / time.Since(began).Seconds(), nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// untilReady waits until a cutover would be tried, and reads the plan.
func (r *rehearsal) untilReady(ctx context.Context) error {
	var following time.Time
	for {
		if err := wait(ctx, 200*time.Millisecond); err != nil {
			return err
		}
		s, err := upgrade.ReadStatus(ctx, r.file)
		switch {
		case err != nil:
			return err
		case s.Phase == nil:
		case s.Ready:
			return r.readPlan(ctx)
		case *s.Phase == control.Following && following.IsZero():
			following = time.Now()
		case !following.IsZero() && time.Since(following) > patience:
			return &notReadyError{s.Blockers}
		}
	}
}

func (r *rehearsal) readPlan(ctx context.Context) error {
	return Oracle{}.reading(ctx, r.file.Production.DSN, func(conn *pgx.Conn) error {
		run, err := control.Find(ctx, conn, r.file.Name)
		if err == nil {
			r.took(run.Plan)
		}
		return err
	})
}

func (r *rehearsal) took(plan *plans.Plan) {
	r.plan = plan
	r.result.Build, r.result.Found = plan.Build, plan.Findings
}

// keepFence gives a twin the rows that production held at the fence: the old side
// has them still. They are kept a second time, as files are copied, for a comparison
// that needs them again.
func (r *rehearsal) keepFence(ctx context.Context) error {
	if err := r.readCutover(ctx); err != nil {
		return err
	}
	if err := r.pristineForTwins(ctx); err != nil {
		return err
	}
	if err := r.makeTwin(ctx, inPlace, r.file.Production.DSN, r.plan.Old, asStored); err != nil {
		return err
	}
	return database(ctx, r.servers.ofTwins().DSN("postgres"), fence, inPlace)
}

// makeTwin makes a database of production's structure with rows of another one.
func (r *rehearsal) makeTwin(ctx context.Context, name, from string, called naming, order rowOrder) error {
	server := r.servers.ofTwins()
	if err := database(ctx, server.DSN("postgres"), name, pristine); err != nil {
		return err
	}
	t := r.twin
	t.dsn, t.upgraded = server.DSN(name), r.upgradedDSN()
	return t.load(ctx, from, called, order)
}

func (r *rehearsal) readCutover(ctx context.Context) error {
	s, err := upgrade.ReadStatus(ctx, r.file)
	if err != nil {
		return err
	}
	r.result.Cutover = &Cutover{LongestMS: r.result.Traffic.LongestMS}
	return decodeCutover(s.Cutover, r.result.Cutover)
}

// finish leaves nothing of pgumbra's in production, as an operator does.
func (r *rehearsal) finish(ctx context.Context) error {
	return upgrade.Finish(ctx, r.file, cutover.DropOld, upgrade.Purge, r.o.Log)
}
