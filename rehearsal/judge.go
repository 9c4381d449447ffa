package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planner/estimate"
	"github.com/pgumbra/pgumbra/rehearsal/generate"
	"github.com/pgumbra/pgumbra/upgrade"
)

// notReadyError says that a run follows and nothing moves any more.
type notReadyError struct{ blockers []string }

func (e *notReadyError) Error() string {
	return "every table follows, but a cutover would not be tried: " + strings.Join(e.blockers, "; ")
}

// failed is the gate at which an upgrade ended that could not be gone through; nil:
// the error is none of an upgrade's.
func (r *rehearsal) failed(err error) *Gate {
	var (
		blocked   *upgrade.Blocked
		different *upgrade.Different
		failed    *upgrade.MigrationFailed
		violated  *upgrade.KeysViolated
		waiting   *notReadyError
	)
	var migration *failedMigration
	message, inPlace := failedInPlace(err)
	back, onTheWayBack := failedBack(err)
	switch {
	case err == nil, pg.State(err) == pgerrcode.DiskFull:
		return nil
	case onTheWayBack:
		return &Gate{Name: "require-rollback", Message: back, Fix: "what stands in the way back here stands in production's way too"}
	case errors.As(err, &migration) && !inPlace:
		return migration.gate("")
	case errors.As(err, &blocked):
		r.took(blocked.Plan)
		return &Gate{Name: "plan", Message: "the plan has blockers: " + strings.Join(r.named(plans.Blocker), ", "), Fix: "do what the blockers say; generated rows may be other than production's: tables.<table>.generate says how they are made"}
	case errors.As(err, &different):
		return &Gate{Name: "verify", Message: err.Error(), Fix: "this must not be: keep the output, and report it"}
	case inPlace:
		return &Gate{Name: "in-place", Message: message, Fix: "the migrations fail in place on rows on which the shadow was built: correct the migration, or say by tables.<table>.generate what rows production has; if the rows are right, report it"}
	case errors.As(err, &failed), errors.As(err, &violated):
		return &Gate{Name: "run", Message: oneCause(err), Fix: "correct the migration, or say by tables.<table>.generate what rows production has"}
	case errors.Is(err, upgrade.ErrNotNow), errors.As(err, &waiting):
		return &Gate{Name: "cutover", Message: oneCause(err), Fix: "what stands in the way here stands in production's way too" + r.unlessBusy()}
	case errors.Is(err, errUndone):
		return &Gate{Name: "cutover", Message: err.Error(), Fix: "this must not be: keep the output, and report it"}
	case errors.Is(err, upgrade.ErrStopped), pg.State(err) != "" && r.plan != nil:
		return &Gate{Name: "run", Message: oneCause(err)}
	}
	return nil
}

// unlessBusy says how a rehearsal on a busy machine gets through its cutover: it makes as
// many attempts as the plan file allows, as production does.
func (r *rehearsal) unlessBusy() string {
	busy := estimate.Busy()
	if busy == "" {
		return ""
	}
	return fmt.Sprintf(", unless it is this machine's own %s: a rehearsal ends after %s of at most %s each, as in production; PGUMBRA_CUTOVER_ATTEMPTS and PGUMBRA_CUTOVER_MAX_STALL give it more",
		busy, human.Plural(max(r.file.Cutover.Attempts, 1), "attempt"), human.Duration(r.file.Cutover.MaxStall))
}

// named are the findings of a level, by code and object.
func (r *rehearsal) named(level plans.Level) []string {
	var names []string
	for _, f := range r.result.Found {
		if f.Level == level {
			names = append(names, fmt.Sprintf("%s (%s)", f.Code, f.Object))
		}
	}
	return names
}

// compare migrates the twin in place and holds the upgraded database against it.
func (r *rehearsal) compare(ctx context.Context) error {
	result := &OracleResult{NotComparable: []string{}}
	began := time.Now()
	twins := r.servers.ofTwins()
	twin := twins.DSN(inPlace)
	if err := r.migrate(twin); err != nil {
		return errInPlace{err}
	}
	result.InPlaceSeconds = time.Since(began).Seconds()
	for _, dsn := range []string{r.upgradedDSN(), twin} {
		if err := refresh(ctx, dsn); err != nil {
			return err
		}
	}
	o, err := r.oracle(ctx, twin)
	if err != nil {
		return err
	}
	c, err := o.Compare(ctx, twin, r.upgradedDSN())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(c.Differences, Difference.ofRows) {
		if c, err = r.compareRepeatable(ctx, o, result); err != nil {
			return err
		}
	}
	c.Differences = slices.DeleteFunc(c.Differences, r.wanted)
	for i := range c.Differences {
		c.Differences[i].explain(r.plan)
	}
	result.Compared, result.Equal = *c, len(c.Differences) == 0
	r.result.Oracle = result
	return nil
}

// compareRepeatable leaves out what two runs of the migrations in place fill with
// different values.
func (r *rehearsal) compareRepeatable(ctx context.Context, o Oracle, result *OracleResult) (*Compared, error) {
	one, other := r.servers.ofTwins().DSN(inPlace), r.servers.ofTwins().DSN(again)
	if err := r.makeTwin(ctx, again, r.servers.ofTwins().DSN(fence), asBefore, backwards); err != nil {
		return nil, err
	}
	if err := r.migrate(other); err != nil {
		return nil, errInPlace{err}
	}
	if err := refresh(ctx, other); err != nil {
		return nil, err
	}
	left, err := o.Unrepeatable(ctx, one, other)
	if err != nil {
		return nil, err
	}
	result.NotComparable = append(result.NotComparable, left...)
	return o.Compare(ctx, one, r.upgradedDSN(), left...)
}

// oracle compares what moves. To another server go the plan's schemas alone; what
// others hold in the twin stays behind in production.
func (r *rehearsal) oracle(ctx context.Context, twin string) (o Oracle, err error) {
	o = Oracle{Bin: r.bin, Schemas: r.file.Production.Schemas}
	if !r.remote() {
		return o, nil
	}
	err = o.reading(ctx, twin, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT nspname FROM pg_namespace WHERE nspname <> ALL ($1) AND nspname !~ '^pg_' AND nspname <> 'information_schema'`, o.Schemas)
		if err != nil {
			return err
		}
		o.Leave, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return o, err
}

// ofRows reports whether it is about rows, and not structure or a sequence.
func (d Difference) ofRows() bool {
	return d.Kind == ValuesDiffer || d.Kind == RowsMissing || d.Kind == RowsExtra
}

// wanted reports whether the plan file asks for a difference: a table that is
// skipped is created empty.
func (r *rehearsal) wanted(d Difference) bool {
	return d.Kind == RowsMissing && slices.ContainsFunc(r.plan.Tables, func(t plans.Table) bool {
		return t.Feed == plans.Skipped && t.Final.String() == d.Object
	})
}

// Gates are what a rehearsal must pass beyond the oracle.
type Gates struct {
	MaxStall        time.Duration // 0: what the plan file asks of a cutover
	MaxSlowdown     float64       // throughput before by that while following; 0: any
	RequireRollback bool
	FailOnWarning   bool
	Baseline        *Baseline // findings that are accepted; nil: none
}

// judge holds the result against the gates.
func (r *rehearsal) judge() {
	early := slices.ContainsFunc(r.result.Gates, func(g Gate) bool { return !g.Passed })
	r.judgeFindings()
	r.judgeData()
	if !early {
		r.judgeTraffic()
		r.judgeOracle()
		r.judgeStall()
		r.judgeSlowdown()
	}
	r.judgeRollback()
	if unused := r.o.Gates.Baseline.unused(); len(unused) > 0 && r.plan != nil {
		r.result.Notes = append(r.result.Notes, "accepted by the baseline, but not found: "+strings.Join(unused, ", "))
	}
	r.result.Passed = !slices.ContainsFunc(r.result.Gates, func(g Gate) bool { return !g.Passed })
}

func (r *rehearsal) judgeRollback() {
	back := r.result.Rollback
	switch {
	case !r.o.Gates.RequireRollback || r.result.gateOf("require-rollback"):
	case back == nil:
		r.gate("require-rollback", false, "it did not come to a way back", "")
	default:
		r.judgeLosses(back)
	}
}

// judgeLosses: a way back that wants --accept-loss passes where the baseline accepts each loss,
// or these are rows that clients need not write.
func (r *rehearsal) judgeLosses(back *Rollback) {
	var lost, written, accepted []string
	for i := range back.Losses {
		l := &back.Losses[i]
		switch l.Accepted = r.accepts(*l); {
		case l.Accepted:
			accepted = append(accepted, l.String())
		case l.Written:
			written = append(written, l.String())
		default:
			lost = append(lost, l.String())
		}
	}
	if len(lost) > 0 {
		r.gate("require-rollback", false, "in production pgumbra rollback would be refused without --accept-loss, and lose with it: "+strings.Join(lost, "; "),
			"do what the plan's findings "+strings.Join(aboutLoss, ", ")+" of it say, or accept them in the baseline")
		return
	}
	message := fmt.Sprintf("cutover, %s in the new structure, rollback in %.1f ms, cutover again", human.Plural(int(back.Committed), "commit"), back.StallMS)
	if len(accepted) > 0 {
		message += "; with --accept-loss, for what the baseline accepts: " + strings.Join(accepted, "; ")
	}
	if len(written) > 0 {
		r.result.Notes = append(r.result.Notes, "warning: of what the rehearsal's clients wrote in the new structure the old side cannot hold all. Where your application writes such rows, pgumbra status names them, and pgumbra rollback is refused without --accept-loss: "+strings.Join(written, "; "))
		message += "; with --accept-loss, for rows that the old side cannot hold"
	}
	r.gate("require-rollback", true, message, "")
}

// aboutLoss are the findings that tell beforehand what a way back loses.
var aboutLoss = []string{"not-reversible", "reverse-lossy", "reverse-written-behind"}

// accepts reports whether the baseline accepts, or a finding that it accepts told of, the loss
// of a table, by either name, or of a column of it.
func (r *rehearsal) accepts(l Loss) bool {
	if l.Object == "" {
		return false
	}
	known := []string{l.Object}
	for i := range r.plan.Tables {
		if names := []string{r.plan.Tables[i].Production.String(), r.plan.Tables[i].Final.String()}; slices.Contains(names, l.Object) {
			known = append(known, names...)
		}
	}
	of := func(object string) bool {
		return slices.ContainsFunc(known, func(n string) bool { return object == n || strings.HasPrefix(object, n+".") })
	}
	return slices.ContainsFunc(r.result.Settled, func(f plans.Finding) bool { return slices.Contains(aboutLoss, f.Code) && of(f.Object) }) ||
		slices.ContainsFunc(aboutLoss, func(code string) bool { return r.o.Gates.Baseline.accepts(code, l.Object) })
}

func (r *Result) gateOf(name string) bool {
	return slices.ContainsFunc(r.Gates, func(g Gate) bool { return g.Name == name })
}

func (r *rehearsal) gate(name string, passed bool, message, fix string) {
	r.result.Gates = append(r.result.Gates, Gate{Name: name, Passed: passed, Message: message, Fix: fix})
}

// judgeFindings takes out what the baseline accepts.
func (r *rehearsal) judgeFindings() {
	var left []plans.Finding
	for _, f := range r.result.Found {
		if f.Level != plans.Blocker && r.o.Gates.Baseline.accepts(f.Code, f.Object) {
			r.result.Settled = append(r.result.Settled, f)
		} else {
			left = append(left, f)
		}
	}
	r.result.Found = append([]plans.Finding{}, left...)
	if !r.o.Gates.FailOnWarning {
		return
	}
	warnings := r.named(plans.Warning)
	message := "no warnings"
	switch {
	case r.plan == nil: // the rehearsal ended before it was asked
		return
	case len(warnings) > 0:
		message = human.Plural(len(warnings), "warning") + ": " + strings.Join(warnings, ", ")
	case slices.ContainsFunc(r.result.Settled, func(f plans.Finding) bool { return f.Level == plans.Warning }):
		message = "no warnings but accepted ones"
	}
	r.gate("fail-on warning", len(warnings) == 0, message, "do what they say, or accept them in the baseline")
}

// judgeData: of a table without rows nothing was proved.
func (r *rehearsal) judgeData() {
	var empty []string
	fix := ""
	for _, g := range r.result.Data.Gaps {
		filled := slices.ContainsFunc(r.result.Data.Tables, func(f generate.Filled) bool { return f.Table == g.Table && f.Rows > 0 })
		if !filled && !r.o.Gates.Baseline.accepts(notGenerated, g.Table.String()) {
			empty = append(empty, g.String())
			fix = cmp.Or(fix, g.Fix)
		}
	}
	if len(r.result.Data.Tables) == 0 {
		return
	}
	if len(empty) > 0 {
		r.gate("data", false, "no rows could be made for "+strings.Join(empty, "; "), fix)
		return
	}
	message := fmt.Sprintf("%s rows in %s", human.Count(r.result.Data.Rows()), human.Plural(len(r.result.Data.Tables), "table"))
	if made := r.madeToFit(); len(made) > 0 {
		message += ", some made so that the migrations go well: " + strings.Join(made, "; ")
		r.result.Notes = append(r.result.Notes, "warning: generated rows were made so that the migrations go well on them: "+strings.Join(made, "; ")+
			". Production's rows may break that; only they prove it: pgumbra plan with production.dsn, or a rehearsal of a sample of them")
	}
	r.gate("data", true, message, "")
}

// madeToFit is what generated rows keep since the migrations ask it of them, and no constraint of
// production's does yet.
func (r *rehearsal) madeToFit() (made []string) {
	if r.from() == fromProduction {
		return nil
	}
	for _, a := range r.asks {
		if slices.ContainsFunc(r.result.Data.Tables, func(f generate.Filled) bool { return f.Table == a.Table && !f.Kept }) {
			made = append(made, a.String())
		}
	}
	return made
}

func (r *rehearsal) judgeTraffic() {
	t := r.result.Traffic
	if len(t.Failed) == 0 {
		r.gate("traffic", true, fmt.Sprintf("%s transactions of %s, none failed", human.Count(t.Done()), human.Plural(t.Clients, "client")), "")
		return
	}
	r.gate("traffic", false, fmt.Sprintf("%s of transactions that failed: %s", human.Plural(len(t.Failed), "kind"), mostOf(t.Failed)), "")
}

func mostOf(messages map[string]int64) string {
	var all []string
	for m := range messages {
		all = append(all, human.OneLine(m))
	}
	slices.Sort(all)
	return strings.Join(all[:min(len(all), 3)], "; ")
}

func (r *rehearsal) judgeOracle() {
	o := r.result.Oracle
	if o.Equal {
		r.gate("oracle", true, fmt.Sprintf("equal to the migrations run in place: %s, %s rows, %s, %s", human.Plural(o.Objects, "object"),
			human.Count(o.Rows), human.Plural(o.Tables, "table"), human.Plural(o.Sequences, "sequence")), "")
		return
	}
	var names []string
	for _, d := range o.Differences[:min(len(o.Differences), 5)] {
		names = append(names, d.Name())
	}
	r.gate("oracle", false, fmt.Sprintf("%s from the migrations run in place: %s", human.Plural(len(o.Differences), "difference"), strings.Join(names, ", ")), "")
}

// Name is the object with its column.
func (d Difference) Name() string {
	if d.Column != "" {
		return d.Object + "." + d.Column
	}
	return d.Object
}

func (r *rehearsal) judgeStall() {
	limit, allow := r.o.Gates.MaxStall, "--max-stall"
	if limit == 0 {
		limit, allow = r.file.Cutover.MaxStall, "cutover.max_stall"
	}
	c := r.result.Cutover
	r.gate("max-stall", c.StallMS <= float64(limit.Microseconds())/1000, fmt.Sprintf("the stall was %.1f ms, at most %s", c.StallMS, human.Duration(limit)),
		"see in what was measured which step took it (stall by steps), or allow more: "+allow)
}

func (r *rehearsal) judgeSlowdown() {
	t := &r.result.Traffic
	if t.Following > 0 {
		t.Slowdown = t.Before / t.Following
	}
	if limit := r.o.Gates.MaxSlowdown; limit > 0 {
		r.gate("max-slowdown", t.Slowdown > 0 && t.Slowdown <= limit,
			fmt.Sprintf("%.0f transactions a second before, %.0f while following: slowdown %.2f, at most %.2f", t.Before, t.Following, t.Slowdown, limit), "")
	}
}
