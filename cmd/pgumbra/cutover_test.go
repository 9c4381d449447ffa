package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestCutoverByCommand: through the leader that runs, and once more when all is
// over; then the same name runs again with newer migrations, without a watch.
func TestCutoverByCommand(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	o := operatorOf(t, small)
	leader := o.start(ctx, "run")
	o.wait(ctx, following)
	fits(t, "verify", o.do(ctx, exitDone, "verify", "--json").out.String())
	fits(t, "plan", o.do(ctx, exitDone, "plan", "--json").out.String())
	o.wait(ctx, `SELECT 'ready' FROM pgumbra.event WHERE message = 'ready'`)
	o.do(ctx, exitDone, "cutover", "--check")
	fits(t, "status", o.do(ctx, exitDone, "status", "--json").out.String())
	done := o.do(ctx, exitDone, "cutover")
	if text := done.out.String(); !strings.Contains(text, "The shadow is production now") || !strings.Contains(text, "Next: pgumbra finish") {
		t.Errorf("cutover says:\n%s", text)
	}
	fits(t, "status", o.do(ctx, exitDone, "status", "--json").out.String())
	fits(t, "history", o.do(ctx, exitDone, "history", "--json").out.String())
	// Its leader goes on with the watch, and does not take the request for one to go back.
	o.wait(ctx, `SELECT 'x' FROM pgumbra.shadow_table HAVING bool_and(verified_at IS NOT NULL)`)
	o.wait(ctx, `SELECT 'x' FROM pgumbra.leader WHERE cutover_requested IS NULL AND heartbeat > (SELECT max(verified_at) + interval '2 seconds' FROM pgumbra.shadow_table)`)
	status := o.status(t)
	if status.Phase != "watching" || status.Cutover.StallMS <= 0 || status.Cutover.Attempts < 1 {
		t.Errorf("status after the cutover: %+v", status)
	}
	for _, args := range [][]string{{"cutover"}, {"run", "--cutover"}, {"finish", "--drop-old"}, {"cutover"}, {"run", "--cutover"}} {
		o.do(ctx, exitDone, args...)
	}
	if got := leader.code(); got != exitDone { // it kept the old side current until finish
		t.Errorf("the leader: exit code %d\n%s", got, &leader.err)
	}
	o.do(ctx, exitError, "abort")
	o.do(ctx, exitError, "verify")

	o.write("migrations/3_more.up.sql", "ALTER TABLE shop.a ADD COLUMN more int NOT NULL DEFAULT 5;")
	o.do(ctx, exitDone, "run", "--cutover", "--set", "watch.enabled=false")
	if status := o.status(t); status.Phase != "finished" {
		t.Errorf("without a watch the run is %s after the cutover", status.Phase)
	}
	if got := o.query(ctx, `SELECT version || ' ' || (SELECT sum(more) FROM shop.a) FROM public.schema_migrations`); got != "3 25000" {
		t.Errorf("after the second run: %s", got)
	}

	// That run's old side stands still. One of the same name has its own beside it.
	o.write("migrations/4_most.up.sql", "ALTER TABLE shop.a ADD COLUMN most int NOT NULL DEFAULT 6;")
	told := o.do(ctx, exitDone, "plan").out.String()
	for _, want := range []string{"old-side-kept", "pgumbra_up_old2_shop"} {
		if !strings.Contains(told, want) {
			t.Errorf("plan beside a kept old side does not say %s:\n%s", want, told)
		}
	}
	o.do(ctx, exitDone, "run", "--cutover", "--set", "watch.enabled=false")
	if got := o.query(ctx, `SELECT string_agg(nspname, ' ' ORDER BY length(nspname)) FROM pg_namespace WHERE to_regclass(nspname || '.a') IS NOT NULL AND nspname LIKE 'pgumbra%'`); got != "pgumbra_up_old_shop pgumbra_up_old2_shop" {
		t.Errorf("the old sides that stand: %s", got)
	}
	for _, format := range []string{"text", "json", "markdown", "html"} {
		p := o.do(ctx, exitDone, "plan", "--format", format)
		if text := p.out.String(); !strings.Contains(text, "othing to do") && !strings.Contains(text, "nothing_to_do") {
			t.Errorf("plan --format %s with nothing newer says:\n%s", format, text)
		}
	}
	var answer map[string]any
	must(t, json.Unmarshal([]byte(o.do(ctx, exitDone, "plan", "--json").out.String()), &answer))
	for _, key := range []string{"run", "from_version", "to_version", "build", "runnable", "findings", "tables", "estimates", "steps"} {
		if _, there := answer[key]; !there {
			t.Errorf("plan --json has no %s", key)
		}
	}
}

// statusAnswer is what scripts read of status --json.
type statusAnswer struct {
	Run, Phase string
	Ready      bool
	Blockers   []string
	Waits      []string
	Tables     []struct{ Production, State string }
	Cutover    struct {
		Attempts int
		StallMS  float64 `json:"stall_ms"`
	}
}

func (o *operator) status(t *testing.T) (s statusAnswer) {
	t.Helper()
	p := o.do(limited(t, time.Minute), exitDone, "status", "--json")
	must(t, json.Unmarshal([]byte(p.out.String()), &s))
	return s
}

// TestCutoverThatIsNotPossibleChangesNothing: a session keeps a snapshot; the
// command gives up with 6, the run follows on, and the swap succeeds later.
func TestCutoverThatIsNotPossibleChangesNothing(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	o := operatorOf(t, small.with("", nil, "hooks:\n  before_cutover: [sh, -c, 'while test -e slow; do sleep 0.1; done; echo a freeze of deployments; test -e frozen']\n"+
		"  after_cutover: [sh, -c, 'echo $PGUMBRA_EVENT of $PGUMBRA_RUN to $PGUMBRA_TO_VERSION: $PGUMBRA_STALL_MS >>told']\n"))
	said := o.do(ctx, exitDone, "run", "--until", "following", "--set", "cutover.max_stall=1ms").out.String() // it follows, as it was asked to
	if !strings.Contains(said, "no cutover would be tried: the swap took ") || !strings.HasSuffix(said, "pgumbra abort undoes the run\n") {
		t.Errorf("a run whose swap does not fit says:\n%s", said)
	}
	o.do(ctx, exitDone, "run", "--until", "following")
	holder := o.connect(ctx)
	defer holder.Close(ctx)
	tx, err := holder.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	must(t, err)
	_, err = tx.Exec(ctx, "SELECT count(*) FROM shop.a")
	must(t, err)

	soon := []string{"--set", "cutover.attempts=2", "--set", "cutover.max_stall=300ms"} // a run under way takes them, too
	alone := o.do(ctx, exitNotNow, append([]string{"cutover"}, soon...)...)
	if text := alone.err.String(); !strings.Contains(text, "nothing changed") || !strings.Contains(text, "Next: pgumbra cutover") ||
		!strings.Contains(text, "snapshot") {
		t.Errorf("cutover says:\n%s", text)
	}
	if s := o.status(t); s.Phase != "following" {
		t.Errorf("phase %s after a cutover that was not possible", s.Phase)
	}
	if said := o.do(ctx, exitNotNow, "cutover", "--check").out.String(); !strings.Contains(said, "snapshot") || !strings.Contains(said, "to do: ") {
		t.Errorf("cutover --check says:\n%s", said)
	}
	o.sql(`UPDATE shop.a SET n = n`)
	if said := o.do(ctx, exitNotNow, "cutover", "--check", "--set", "cutover.max_stall=1ms").out.String(); !strings.Contains(said, "no process leads the run (lag)\n  to do: pgumbra run replays them") {
		t.Errorf("without a leader cutover --check says:\n%s", said)
	}
	leader := o.start(ctx, append([]string{"run"}, soon...)...)
	o.wait(ctx, `SELECT 'x' FROM pgumbra.leader WHERE heartbeat > clock_timestamp() - interval '2 seconds' AND pid > 0`)
	refused := o.do(ctx, exitNotNow, "cutover", "--json")
	if said := refused.out.String(); said != "" {
		t.Errorf("a cutover that was not possible has a result:\n%s", said)
	}
	fits(t, "error", lastLine(refused.err.String()))
	if said := o.do(ctx, exitDone, "status").out.String(); !strings.Contains(said, "attempts 2 of ") {
		t.Errorf("status after attempts:\n%s", said)
	}
	must(t, tx.Rollback(ctx))
	o.sql(`CREATE TABLE shop.since (n int)`) // would stay behind, however often it is tried
	o.do(ctx, exitNotNow, "cutover")
	if said := o.do(ctx, exitDone, "status").out.String(); !strings.Contains(said, "attempts 1 of ") || !strings.Contains(said, "since") {
		t.Errorf("status after a cause that lasts:\n%s", said)
	}
	o.sql(`DROP TABLE shop.since`)
	o.write("slow", "")
	if said := o.do(ctx, exitNotNow, "cutover", "--window", "6s").err.String(); !strings.Contains(said, "hooks.before_cutover, sh was begun") {
		t.Errorf("a window that ends before a hook does says:\n%s", said)
	}
	must(t, os.Remove(filepath.Join(o.dir, "slow")))
	if said := o.do(ctx, exitNotNow, "cutover").err.String(); !strings.Contains(said, "hooks.before_cutover, sh: exit status 1: a freeze of deployments") {
		t.Errorf("a cutover that a hook holds says:\n%s", said)
	}
	o.write("frozen", "")
	var result statusAnswer
	must(t, json.Unmarshal([]byte(o.do(ctx, exitDone, "cutover", "--json").out.String()), &result))
	if result.Phase != "watching" {
		t.Errorf("cutover --json ends at %s", result.Phase)
	}
	o.do(ctx, exitDone, "finish")
	if got := leader.code(); got != exitDone {
		t.Errorf("the leader: exit code %d\n%s", got, &leader.err)
	}
	if told, err := os.ReadFile(filepath.Join(o.dir, "told")); err != nil || !regexp.MustCompile(`^after_cutover of up to 2: [0-9.]+\n$`).Match(told) {
		t.Errorf("the hook after the cutover was told %q, %v", told, err)
	}
}

// Who holds a lock for which pgumbra waits is named, by what waits and by status; a look
// before a cutover does not wait for it.
func TestWhoHoldsALockIsNamed(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	o := operatorOf(t, small)
	o.do(ctx, exitDone, "run", "--until", "following")
	holder := o.connect(ctx)
	defer holder.Close(ctx)
	tx, err := holder.Begin(ctx)
	must(t, err)
	_, err = tx.Exec(ctx, "LOCK TABLE shop.a")
	must(t, err)
	o.wait(ctx, `SELECT 'x' FROM pg_stat_activity WHERE xact_start < clock_timestamp() - interval '2 seconds' AND query = 'LOCK TABLE shop.a'`)
	if said := o.do(ctx, exitNotNow, "cutover", "--check").out.String(); !strings.Contains(said, "LOCK TABLE shop.a holds a lock") {
		t.Errorf("cutover --check says:\n%s", said)
	}
	waits := o.start(ctx, "verify")
	for len(o.status(t).Waits) == 0 && ctx.Err() == nil {
	}
	if said := o.do(ctx, exitDone, "status").out.String(); !regexp.MustCompile(`waits +for a lock that session \d+ .*LOCK TABLE shop.a holds`).MatchString(said) {
		t.Errorf("status says:\n%s", said)
	}
	o.wait(ctx, `SELECT 'x' FROM pg_stat_activity looks, pg_stat_activity waits WHERE looks.query LIKE '-- Sessions that hold a lock%' AND looks.state = 'idle'
		AND waits.application_name LIKE 'pgumbra/%' AND waits.wait_event = 'relation' AND looks.query_start > waits.query_start + interval '2.1 seconds'`)
	must(t, tx.Rollback(ctx))
	if got, said := waits.code(), waits.err.String(); got != exitDone || !strings.Contains(said, "waiting for a lock in production") {
		t.Errorf("verify: exit code %d\n%s", got, said)
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// pastTheWriteBlock is what a superuser must do first to write to the shadow.
const pastTheWriteBlock = `ALTER TABLE pgumbra_up_shop.a DISABLE TRIGGER "!pgumbra_gate"; `

// TestRunStopsAtWhatItCannotRepair: what production's structure or the shadow's
// rows became in mid-run is found and named, and abort undoes all.
func TestRunStopsAtWhatItCannotRepair(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	for _, c := range []struct {
		name, sql string
		code      int
		says      []string
	}{
		{"a column more", `SET session_replication_role = replica; ALTER EVENT TRIGGER %E DISABLE; ALTER TABLE shop.a ADD COLUMN z int`, exitError, []string{"shop.a", "structure"}},
		{"a row of the shadow altered", pastTheWriteBlock + `UPDATE pgumbra_up_shop.a SET n = -1 WHERE id = 77`, exitFindings, []string{"shop.a", "77"}},
		{"a row of the shadow deleted", pastTheWriteBlock + `DELETE FROM pgumbra_up_shop.a WHERE id = 78`, exitFindings, []string{"shop.a", "78"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 2*time.Minute)
			o := operatorOf(t, small)
			o.do(ctx, exitDone, "run", "--until", "following")
			event := o.query(ctx, `SELECT quote_ident(evtname) FROM pg_event_trigger ORDER BY 1 LIMIT 1`)
			if event == "" {
				t.Fatal("no event trigger")
			}
			o.sql(strings.ReplaceAll(c.sql, "%E", event))
			args := []string{"verify"}
			if c.code == exitError {
				args = []string{"run", "--cutover"}
			}
			p := o.do(ctx, c.code, args...)
			for _, want := range c.says {
				if text := p.out.String() + p.err.String(); !strings.Contains(text, want) {
					t.Errorf("%q is not said:\n%s", want, text)
				}
			}
			o.do(ctx, exitDone, "abort", "--purge")
			if left := o.query(ctx, `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pgumbra%'`); left != "" {
				t.Errorf("schema %s is left", left)
			}
		})
	}
}

// TestStructureIsFrozenWhileARunFollows: the event trigger refuses a change of
// a captured table, and says who.
func TestStructureIsFrozenWhileARunFollows(t *testing.T) {
	t.Parallel()
	ctx := limited(t, time.Minute)
	o := operatorOf(t, tiny)
	o.do(ctx, exitDone, "run", "--until", "following")
	conn := o.connect(ctx)
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "ALTER TABLE shop.a ADD COLUMN z int"); err == nil || !strings.Contains(err.Error(), "structure of shop.a is frozen while the upgrade up is under way") {
		t.Errorf("a change of structure in mid-run: %v", err)
	}
}

// TestTransformThatFailsOnOneRowNamesIt: where plan sees it, nothing begins;
// where it comes later, the copy stops.
func TestTransformThatFailsOnOneRowNamesIt(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	o := operatorOf(t, tiny.with(`INSERT INTO shop.a SELECT n, n FROM generate_series(3001, 60000) n;`, nil,
		"tables:\n  shop.a:\n    columns: {c: \"b::int\"}\n"))
	bad := `UPDATE shop.a SET b = 'none' WHERE id = 45678`
	wants := func(p *process, all ...string) {
		t.Helper()
		for _, want := range all {
			if text := p.out.String() + p.err.String(); !strings.Contains(text, want) {
				t.Errorf("%q is not said:\n%s", want, text)
			}
		}
	}
	o.do(ctx, exitDone, "run", "--until", "capturing")
	o.sql(bad)
	wants(o.do(ctx, exitError, "run", "--until", "following"), "shop.a", "45678", "b::int", "is in phase copying", "Next: ")
	wants(o.do(ctx, exitDone, "status"), "copying", "45678")
	o.do(ctx, exitDone, "abort", "--purge")
	before := o.dumpAll()
	wants(o.do(ctx, exitFindings, "run"), "transform-fails", "shop.a.c", "invalid input syntax", "Next: pgumbra plan")
	if o.dumpAll() != before {
		t.Error("production was changed")
	}
}
