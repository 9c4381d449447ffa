package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
)

func standingIn(phase control.Phase) *upgrade.Status {
	return &upgrade.Status{Run: "up", Phase: &phase}
}

func TestStatusSaysOneThingALineAndWhatToType(t *testing.T) {
	t.Parallel()
	following := standingIn(control.Following)
	following.Leader, following.Blockers = &upgrade.Leader{Host: "db", PID: 7}, []string{"first\nreason", "second"}
	ready := standingIn(control.Following)
	ready.Ready = true
	led := standingIn(control.Following)
	led.Ready, led.Leader = true, &upgrade.Leader{Host: "db", PID: 7}
	trying := standingIn(control.Following)
	part := 0.62
	trying.Leader, trying.Attempts = led.Leader, upgrade.Attempts{Count: 3, Tried: 3, Of: 20, Last: "3 sessions hold\na lock"}
	trying.Work = &upgrade.Work{Stage: upgrade.StageIndexing, Done: 3, Of: 16, Fraction: 0.4, Now: []upgrade.WorkItem{{Name: "idx_rental_customer", Fraction: &part}}}
	for _, c := range []struct {
		status *upgrade.Status
		says   []string
		not    string
	}{
		{following, []string{"ready    no: first reason\n         second\n", "Next: wait: pgumbra status --watch"}, "; second"},
		{ready, []string{"ready    as far as is known without a process that leads; pgumbra cutover --check looks", "Next: pgumbra cutover\n"}, "abort"},
		{led, []string{"ready    yes\n", "Next: pgumbra cutover\n"}, "abort"},
		{trying, []string{"attempts 3 of 20; ", "last: 3 sessions hold a lock\n", "work     indexing 3 of 16 · 40 % · idx_rental_customer 62 %\n"}, "ready    yes"},
		{standingIn(control.Copying), []string{"leader   none", "Next: pgumbra run goes on; pgumbra abort undoes it"}, "ready"},
		{standingIn(control.Watching), []string{"Next: pgumbra finish"}, "abort"},
		{standingIn(control.Finished), []string{"the run is over; once there are new migrations, pgumbra run begins another one"}, "abort"},
	} {
		var b bytes.Buffer
		must(t, (&app{}).printStatus(&b, c.status))
		for _, want := range c.says {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q in:\n%s", want, &b)
			}
		}
		if strings.Contains(b.String(), c.not) {
			t.Errorf("%q in:\n%s", c.not, &b)
		}
	}
}

// The last lines of a run that follows say why no cutover would be tried.
func TestARunThatFollowsSaysWhatStandsAgainstItsCutover(t *testing.T) {
	t.Parallel()
	ready, slow, behind := standingIn(control.Following), standingIn(control.Following), standingIn(control.Following)
	ready.Ready = true
	slow.Blockers, slow.TrialTooLong = []string{"the swap took 1.4 s in its trial, and cutover.max_stall is 1 s"}, true
	behind.Blockers = []string{"one", "two"}
	for s, want := range map[*upgrade.Status]string{ready: "Every table follows and is verified.",
		slow:   "Every table follows and is verified, but no cutover would be tried: the swap took 1.4 s in its trial, and cutover.max_stall is 1 s.",
		behind: "The run follows; no cutover would be tried now: one; two."} {
		if got := followingText(s); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if next := (&app{}).nextOf(slow); !strings.HasPrefix(next, "raise cutover.max_stall, if writers can wait that long: change the plan file") {
		t.Error(next)
	}
}

func TestNextFitsThePhase(t *testing.T) {
	t.Parallel()
	a := &app{planPath: "pgumbra.yaml"}
	for phase, want := range map[control.Phase]string{control.Building: "abort", control.Copying: "the triggers stay", control.Watching: "pgumbra finish", control.Finished: "pgumbra status"} {
		got := a.next(errInterrupted, exitInterrupted, standingIn(phase))
		if !strings.Contains(got, want) || phase.Swapped() && strings.Contains(got, "abort") {
			t.Errorf("%s: %s", phase, got)
		}
	}
	if got := (&app{command: "demo"}).next(errInterrupted, exitInterrupted, nil); !strings.HasPrefix(got, "pgumbra demo again") {
		t.Errorf("after an interrupted demo: %s", got)
	}
	led := standingIn(control.Following)
	led.Leader = &upgrade.Leader{Host: "db", PID: 7}
	if got := (&app{command: "status"}).next(errInterrupted, exitInterrupted, led); got != "pgumbra status; the run goes on, led by pid 7 on db" {
		t.Errorf("after status --watch: %s", got)
	}
	if got := a.next(control.ErrFencedOff, exitLed, standingIn(control.Aborted)); !strings.Contains(got, "pgumbra run begins another one") {
		t.Errorf("a leader that was aborted: %s", got)
	}
	if got := a.next(errInterrupted, exitInterrupted, &upgrade.Status{Run: "up"}); !strings.Contains(got, "nothing to undo") {
		t.Errorf("before anything exists: %s", got)
	}
	if got := a.next(&pgconn.PgError{Code: pgerrcode.AdminShutdown}, exitError, nil); !strings.Contains(got, "as pgumbra abort does") {
		t.Errorf("after its session was ended: %s", got)
	}
	for code, err := range map[int]error{exitError: &pgconn.ConnectError{}, exitUsage: &plans.FileError{}, exitFindings: errors.New("blocked")} {
		if got := (&app{command: "init"}).next(err, code, nil); got != "correct what is said above, then pgumbra init again" {
			t.Errorf("before there is a plan file, exit code %d: %s", code, got)
		}
	}
	lost, unlike := &upgrade.NotNow{AcceptLoss: true}, &upgrade.NotNow{Reason: "a table is named --accept-loss"}
	if got := (&app{command: "rollback"}).next(lost, exitNotNow, nil); !strings.Contains(got, "pgumbra rollback --accept-loss goes back without it") {
		t.Errorf("after loss that can be accepted: %s", got)
	}
	if got := (&app{command: "rollback"}).next(unlike, exitNotNow, nil); strings.Contains(got, "--accept-loss") {
		t.Errorf("after another reason: %s", got)
	}
	if got := a.next(&upgrade.Different{}, exitFindings, nil); !strings.Contains(got, "keep this output, then pgumbra abort") {
		t.Errorf("after differences: %s", got)
	}
}

func TestPlanDoesNotSayItsBlockersTwice(t *testing.T) {
	t.Parallel()
	err := &upgrade.Blocked{Plan: &plans.Plan{Findings: []plans.Finding{{Level: plans.Blocker, Code: "keyless", Object: "shop.a", Message: "long"}, {Level: plans.Info}}}}
	if got := (&app{command: "plan"}).what(err); got != "the plan cannot run yet: 1 blocker: keyless (shop.a)" {
		t.Error(got)
	}
	if got := (&app{command: "run"}).what(err); !strings.Contains(got, "keyless (shop.a): long") {
		t.Error(got)
	}
}

func TestPlainLogIsALineForPeople(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := slog.New(&plainLog{out: &b, level: slog.LevelInfo}).With("run", "up")
	log.Debug("not shown")
	record := slog.NewRecord(time.Date(2026, 11, 26, 6, 47, 48, 0, time.Local), slog.LevelWarn, "lost\nit", 0)
	record.Add("error", errors.New("away"))
	must(t, log.Handler().Handle(t.Context(), record))
	if want := "06:47:48 warn: lost it  run: up  error: away\n"; b.String() != want {
		t.Errorf("%q, want %q", &b, want)
	}
}

func TestProgressIsAsWideAsTheTerminalAndSaysWhenItEnds(t *testing.T) {
	t.Parallel()
	p := &progress{app: &app{}}
	s := standingIn(control.Following)
	s.Work = &upgrade.Work{Stage: upgrade.StageProving, Done: 12, Of: 16, Fraction: 0.5}
	now := time.Now()
	if got := p.line(s, now); got != "up: following · proving 12 of 16 · 50 % · measuring how long it takes" {
		t.Error(got)
	}
	s.Work.Fraction = 0.75
	if got := p.line(s, now.Add(time.Minute)); !strings.HasSuffix(got, "75 % · about 60 s left") {
		t.Error(got)
	}
	for _, width := range []int{59, 99} {
		for _, name := range []string{"idx", "shop.a_table_with_a_name_that_is_far_too_long_for_a_bar_of_its_own"} {
			if got := len([]rune(bar(name, 0.5, width))); got > width || got < width-12 {
				t.Errorf("a bar of %d on a terminal of %d:\n%s", got, width, bar(name, 0.5, width))
			}
		}
	}
	if got := p.hints(standingIn(control.Copying)); got != nil {
		t.Error(got)
	}
}

func TestTimesOfACutover(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 17, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{"18:30": "2026-11-26T18:30:00Z", "02:00": "2026-11-27T02:00:00Z", "17:00:00": "2026-11-27T17:00:00Z",
		"2026-12-01 04:05": "2026-12-01T04:05:00Z", "2026-11-27T02:00:00+01:00": "2026-11-27T02:00:00+01:00", "2026-11-26 16:59": "", "soon": ""} {
		got, err := parseTime(text, now)
		if (err == nil) != (want != "") || err == nil && got.Format(time.RFC3339) != want {
			t.Errorf("--at %s: %s, %v", text, got, err)
		}
	}
	o, err := (&app{}).window("02:00", 30*time.Minute, now)
	must(t, err)
	if o.NotAfter.Sub(o.NotBefore) != 30*time.Minute {
		t.Errorf("from %s to %s", o.NotBefore, o.NotAfter)
	}
}

func TestColumnsGiveWayToANarrowTerminal(t *testing.T) {
	t.Parallel()
	s := standingIn(control.Following)
	s.Tables = []upgrade.TableStatus{{Production: "public.members", State: "following", RowsCopied: 1_600_000, VerifiedAt: new(time.Time)}}
	for width, gone := range map[int]string{0: "", 100: "", 60: "REPLAYED", 52: "PENDING"} {
		text := (&app{}).statusText(s, width)
		_, table, _ := strings.Cut(text, "\n\n")
		for line := range strings.Lines(table) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); width > 0 && n > width {
				t.Errorf("%d columns on a terminal of %d: %s", n, width, line)
			}
		}
		if !strings.Contains(table, "VERIFIED") || gone != "" && strings.Contains(table, gone) || gone == "" && !strings.Contains(table, "REPLAYED") {
			t.Errorf("at %d:\n%s", width, table)
		}
	}
	copying := standingIn(control.Copying)
	copying.Tables = []upgrade.TableStatus{{Production: "public.members", State: "copying", RowsCopied: 745_000, RowsTotal: 1_600_001}}
	if text := (&app{}).statusText(copying, 60); !strings.Contains(text, "745,000 of 1,600,001 (47 %)") {
		t.Error(text)
	}
	finished := standingIn(control.Finished)
	finished.Tables, finished.Left = s.Tables, &upgrade.OldSide{Schemas: []string{"pgumbra_up_old_public"}, Bytes: 12 << 20}
	text := (&app{}).statusText(finished, 0)
	if strings.Contains(text, "REPLAYED") || !strings.Contains(text, "left     the old side, which refuses writes: pgumbra_up_old_public, 12 MB\n") {
		t.Error(text)
	}
}

// What stands in a table fits a narrow terminal in each phase; commands name the plan file;
// who may not use the control schema is told whose it is.
func TestNarrowTerminalsOtherPlanFilesAndForeignControlSchemas(t *testing.T) {
	t.Parallel()
	for _, phase := range []control.Phase{control.Watching, control.RolledBack, control.Aborted, control.Finished} {
		s := standingIn(phase)
		s.Tables = []upgrade.TableStatus{{Production: "shop.orders_with_a_rather_long_name", RowsCopied: 60000}}
		text := (&app{}).statusText(s, 60)
		if !strings.Contains(text, "\nshop.orders_with_a_rather_long_name  ") {
			t.Errorf("%s:\n%s", phase, text)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "TABLE") && len(strings.TrimSpace(line)) > 60 {
				t.Errorf("%s: too wide: %s", phase, line)
			}
		}
	}
	if got := withPlan("pgumbra rollback --accept-loss leaves it behind; pgumbra finish", " -p other.yaml"); got != "pgumbra rollback -p other.yaml --accept-loss leaves it behind; pgumbra finish -p other.yaml" {
		t.Error(got)
	}
	err := &pgconn.PgError{Code: pgerrcode.InsufficientPrivilege, Message: "permission denied for schema pgumbra"}
	if got := (&app{}).next(err, exitCode(err), nil); exitCode(err) != exitFindings || !strings.Contains(got, "the role that made schema pgumbra") {
		t.Errorf("%d, %s", exitCode(err), got)
	}
	ready := standingIn(control.Following)
	ready.Ready = true
	paused, now := standingIn(control.Copying), time.Now()
	paused.PausedAt, paused.Tables = &now, []upgrade.TableStatus{{Production: "a", State: string(control.Waiting)}}
	if text := (&app{}).statusText(paused, 0); !strings.Contains(text, "paused   by pgumbra pause: whichever process leads next") || !strings.HasSuffix(text, "Next: pgumbra resume, then pgumbra run goes on; pgumbra abort undoes it\n") {
		t.Error(text)
	}
	for ends, want := range map[bool]int{true: 0, false: 1} {
		if got := (&progress{app: &app{ends: ends}}).hints(ready); len(got) != want {
			t.Errorf("a command that ends by itself (%t) says %q", ends, got)
		}
	}
}

func TestHelpIsAsWideAsTheTerminal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"one two\nthree four\n\nfive", "one two three\nfour\n\nfive"},
		{"  0    Done. Also:\n       nothing\n  1    Error", "  0    Done.\n       Also:\n       nothing\n  1    Error"},
		{"--until PHASE\n--cutover", "--until PHASE\n--cutover"},
		{"wants\n--all. It\nis so.\n--some", "wants --all.\nIt is so.\n--some"},
	} {
		if got := paragraphs(c.text, 14); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if got := paragraphs("one\ntwo", 0); got != "one\ntwo" {
		t.Error(got)
	}
}

func TestUsageErrorsNameTheHelpAndTheNearestFlag(t *testing.T) {
	t.Parallel()
	for flag, near := range map[string]string{"--untl": "--until", "--drop": "--drop-old", "--frobnicate": ""} {
		a := &app{screen: &screen{file: os.Stderr}, planPath: "pgumbra.yaml"}
		root := a.root()
		command := "run"
		if flag == "--drop" {
			command = "finish"
		}
		root.SetArgs([]string{command, flag})
		err := root.Execute()
		if err == nil || near != "" && !strings.Contains(err.Error(), "did you mean "+near+"?") {
			t.Errorf("%s: %v", flag, err)
		}
		if got := a.next(err, exitCode(err), nil); got != "pgumbra "+command+" --help" {
			t.Errorf("%s: next is %q", flag, got)
		}
	}
	if got := bar("idx", 0, 60); !strings.Contains(got, "0%") {
		t.Errorf("a bar of nothing is %q", got)
	}
}

// What stays of a run to another server is told with the server: production has the same
// names on the other one.
func TestWhatStaysOnAnotherServerIsNamedWithIt(t *testing.T) {
	t.Parallel()
	here := upgrade.OldSide{Schemas: []string{"pgumbra_up_old_shop"}, Bytes: 12 << 20}
	if got, want := finishedText("up", cutover.KeepOld, here, false), "Run up is finished. The old side stays and refuses writes: pgumbra_up_old_shop, 12 MB. When nobody needs it any more:\nDROP SCHEMA \"pgumbra_up_old_shop\" CASCADE;"; got != want {
		t.Error(got)
	}
	there := upgrade.OldSide{Schemas: []string{"clinic", "it's"}, Bytes: 12 << 20, Server: "postgres://app@old:5432/db"}
	for _, text := range []string{finishedText("up", cutover.DropOld, there, false), sideText(there)} {
		if !strings.Contains(text, "clinic, it's on postgres://app@old:5432/db") {
			t.Error(text)
		}
	}
	if got, want := finishedText("up", cutover.KeepOld, there, false), "\n"+`psql 'postgres://app@old:5432/db' -c 'DROP SCHEMA "clinic", "it'\''s" CASCADE;'`; !strings.HasSuffix(got, want) {
		t.Errorf("%s\nwant %s", got, want)
	}
	finished := standingIn(control.Finished)
	finished.Left = &there
	if text := (&app{}).statusText(finished, 0); !strings.Contains(text, "left     the old side, which refuses writes: clinic, it's on postgres://app@old:5432/db, 12 MB\n") {
		t.Error(text)
	}
}

// Whoever cannot get in is told which key led there.
func TestTheKeyOfAConnectionThatFailsIsNamed(t *testing.T) {
	t.Parallel()
	a := &app{planPath: "pgumbra.yaml", file: &planfile.File{Name: "up"}}
	a.file.Production.DSN, a.file.Shadow.DSN, a.file.Scratch.DSN = "postgres://app@127.0.0.1:1/shop", "postgres://app@127.0.0.1:1/new", "postgres://app@127.0.0.1:2/postgres"
	for dsn, want := range map[string]string{a.file.Production.DSN: "correct production.dsn, should it lead elsewhere (the plan file, PGUMBRA_PRODUCTION_DSN, --set); else pgumbra status, once",
		a.file.Shadow.DSN: "correct shadow.dsn, should it lead elsewhere (the plan file, PGUMBRA_SHADOW_DSN, --set)", "postgres://app@127.0.0.1:2/pgumbra_scratch": "correct scratch.dsn,"} {
		_, err := pgconn.Connect(t.Context(), dsn)
		if got := a.next(fmt.Errorf("plan: %w", err), exitError, nil); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", dsn, got)
		}
	}
	refused := fmt.Errorf("%w: %w", &pgconn.ConnectError{}, &pgconn.PgError{Code: pgerrcode.InvalidCatalogName})
	if got := a.next(refused, exitError, nil); !strings.HasSuffix(got, "else do what is said above, then the same command again") {
		t.Errorf("without such a database: %s", got)
	}
}

func TestAStoppedCommandSaysWhatItKeeps(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{"plan": "nothing is left behind", "run": "state is kept", "status": "nothing is changed"} {
		if got := kept([]string{"-p", "up.yaml", command}); got != want {
			t.Errorf("%s: %s", command, got)
		}
	}
	if got := (&app{command: "plan"}).next(errInterrupted, exitInterrupted, &upgrade.Status{Run: "up"}); got != "pgumbra plan again; it changes nothing, and keeps nothing" {
		t.Error(got)
	}
}

// A flag is suggested where it is near what was typed, and not the nearest of all.
func TestOnlyAFlagThatIsNearIsSuggested(t *testing.T) {
	t.Parallel()
	a := &app{}
	for wrong, want := range map[string]string{"yes": "", "sett": "did you mean --set?", "drop": "did you mean --drop-old?", "jsno": "did you mean --json?"} {
		c := &cobra.Command{Use: "abort"}
		for _, name := range []string{"set", "json", "drop-old"} {
			c.Flags().String(name, "", "")
		}
		got := a.flagError(c, errors.New("unknown flag: --"+wrong)).Error()
		if want == "" && strings.Contains(got, "did you mean") || !strings.Contains(got, want) {
			t.Errorf("--%s: %s", wrong, got)
		}
	}
}
