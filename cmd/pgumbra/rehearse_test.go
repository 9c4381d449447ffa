package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestRehearsalsLeaveNothing: one is killed, one interrupted, and the demo's folder
// passes; each time what is on the disk goes, and nothing else is asked for.
func TestRehearsalsLeaveNothing(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	o := &operator{t: t, dir: filepath.Join("..", "..", "examples", "shop")}
	disk, err := os.MkdirTemp("", "rehearsals-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(disk) })
	must(t, os.Chmod(disk, 0o711))                              // the server's user passes through it
	o.env = []string{"TMPDIR=" + disk, "PGUMBRA_TEST_SERVERS="} // nowhere else
	servers := func() []string {
		left, err := filepath.Glob(filepath.Join(disk, "pgumbra-*", "s*"))
		must(t, err)
		return left
	}
	begun := func(before ...string) *process { // its server runs
		p := o.start(ctx, "rehearse")
		for !slices.ContainsFunc(servers(), func(dir string) bool { return !slices.Contains(before, dir) && postmaster(dir) != "" }) {
			select {
			case <-p.over:
				t.Fatalf("it ended with %d: %s", p.code(), p.err.String())
			case <-time.After(10 * time.Millisecond):
			}
		}
		return p
	}

	killed := begun()
	first := servers()[0]
	must(t, killed.Process.Signal(syscall.SIGKILL))
	<-killed.over
	interrupted := begun(first)
	if _, err := os.Stat(first); err == nil {
		t.Error("what the killed one left is there still")
	}
	must(t, interrupted.Process.Signal(syscall.SIGINT))
	if code := interrupted.code(); code != exitInterrupted {
		t.Errorf("an interrupt ends it with %d: %s", code, interrupted.err.String())
	}
	if left := servers(); len(left) > 0 {
		t.Errorf("the interrupted one left %v", left)
	}

	o.interruptedInPlace(ctx, servers)

	accepted := filepath.Join(disk, "accepted.yaml")
	must(t, os.WriteFile(accepted, []byte("accepted: [{code: client-breaks, why: deployed at the cutover}, {code: result-type-changes}, {code: not-reversible}]\n"), 0o600))
	r := rehearsedAsInCI(ctx, t, o, disk, accepted)
	if !r.Passed || !r.Oracle.Equal || r.Oracle.Rows < 5000 || r.Cutover == nil || r.Cutover.StallMS <= 0 || len(r.Settled) == 0 || r.Traffic.Withheld == 0 {
		t.Errorf("%+v", r)
	}
	if left := servers(); len(left) > 0 {
		t.Errorf("the passed one left %v", left)
	}
}

// interruptedInPlace: a migration that runs in place heeds no context, and yet an
// interrupt ends the rehearsal, and not the migration's own end after an hour.
func (o *operator) interruptedInPlace(ctx context.Context, servers func() []string) {
	o.t.Helper()
	long := &operator{t: o.t, dir: o.t.TempDir(), env: o.env}
	must(o.t, os.Mkdir(filepath.Join(long.dir, "migrations"), 0o755))
	long.write("migrations/1_a.up.sql", "CREATE TABLE a (id int PRIMARY KEY);")
	long.write("migrations/2_b.up.sql", "SELECT pg_sleep(3600);")
	long.write("pgumbra.yaml", "name: up\nproduction: {schemas: [public]}\nmigrations: {path: migrations, from: 1}\n")
	p := long.start(ctx, "rehearse", "--log-level", "debug")
	for len(servers()) != 1 || !long.sleeps(ctx, servers()[0]) {
		select {
		case <-p.over:
			o.t.Fatalf("it ended with %d: %s", p.code(), p.err.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	must(o.t, p.Process.Signal(syscall.SIGINT))
	if code := p.code(); code != exitInterrupted {
		o.t.Errorf("an interrupt of a migration in place ends it with %d: %s", code, p.err.String())
	}
	if left := servers(); len(left) > 0 {
		o.t.Errorf("the one interrupted in place left %v", left)
	}
}

// sleeps reports whether somebody in the server of a folder sleeps.
func (o *operator) sleeps(ctx context.Context, folder string) bool {
	o.t.Helper()
	pid, err := os.ReadFile(filepath.Join(folder, "data", "postmaster.pid"))
	lines := strings.Split(string(pid), "\n") // pid, data directory, start, port
	if err != nil || len(lines) < 4 {
		return false
	}
	conn, err := pgx.Connect(ctx, fmt.Sprintf("postgres://postgres@127.0.0.1:%s/postgres", lines[3]))
	if err != nil {
		return false // it does not answer yet
	}
	defer func() { _ = conn.Close(ctx) }()
	var there bool
	must(o.t, conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')").Scan(&there))
	return there
}

// rehearsedAsInCI runs the step of the action of examples/ci, and so its script, with this
// very program, and reads the report; the other forms of it are there.
func rehearsedAsInCI(ctx context.Context, t *testing.T, o *operator, disk, accepted string) rehearsal.Result {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	reports, summary := filepath.Join(disk, "reports"), filepath.Join(disk, "summary.md")
	step := rehearseAction(t)
	cmd := exec.CommandContext(ctx, "bash", "-e", "-c", step.run) //nolint:gosec // the example's own text
	cmd.Dir = o.dir
	cmd.Env = append(os.Environ(), asProgram+"=1", "PGUMBRA="+exe, "PLAN=pgumbra.yaml", "BASELINE="+accepted, "REPORTS="+reports, "MAX_STALL=60s", "FAIL_ON=blocker", "ARGUMENTS=--set production.dsn= --set cutover.max_stall=20s",
		"TMPDIR="+disk, "GITHUB_ACTION_PATH="+step.folder, "GITHUB_STEP_SUMMARY="+summary)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nPassed in ") {
		t.Fatalf("%v\n%s", err, out)
	}
	if text, err := os.ReadFile(summary); err != nil || !strings.HasPrefix(string(text), "## Rehearsal of ") {
		t.Errorf("the job's summary: %v\n%s", err, text)
	}
	for form, is := range map[string]string{"txt": "\nPassed in ", "md": "# ", "html": "<!DOCTYPE html>", "xml": "<testsuite", "sarif": `"$schema"`} {
		text, err := os.ReadFile(filepath.Join(reports, "rehearsal."+form))
		if err != nil || !strings.Contains(string(text), "shop") || !strings.Contains(string(text), is) {
			t.Errorf("the report as %s: %v\n%s", form, err, text)
		}
	}
	var r rehearsal.Result
	text, err := os.ReadFile(filepath.Join(reports, "rehearsal.json"))
	must(t, err)
	fits(t, "rehearse", string(text))
	must(t, json.Unmarshal(text, &r))
	return r
}

// postmaster is the pid file's first line in a server's folder, if there is one.
func postmaster(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return first
}

// twoMigrations are a folder of migrations, and a plan file, of which one can be rehearsed.
func (o *operator) twoMigrations() {
	o.t.Helper()
	must(o.t, os.Mkdir(filepath.Join(o.dir, "migrations"), 0o755))
	o.write("migrations/1_a.up.sql", "CREATE TABLE a (id int PRIMARY KEY);")
	o.write("migrations/2_b.up.sql", "ALTER TABLE a ADD b int;")
	o.write("pgumbra.yaml", "name: up\nproduction: {schemas: [public]}\nmigrations: {path: migrations, from: 1}\n")
}

// programsWithout is a folder that everybody may read of PostgreSQL's programs but one; all
// is that of them all.
func programsWithout(t *testing.T, one string) (folder, all string) {
	t.Helper()
	all, err := testcontainers.BinDir()
	must(t, err)
	programs, err := os.ReadDir(all)
	must(t, err)
	folder = t.TempDir()
	for _, p := range programs {
		if p.Name() != one {
			must(t, os.Symlink(filepath.Join(all, p.Name()), filepath.Join(folder, p.Name())))
		}
	}
	for _, f := range []string{filepath.Dir(folder), folder} {
		must(t, os.Chmod(f, 0o755))
	}
	return folder, all
}

// TestRehearseOfAnArchiveNeedsPgRestore: what is missing is named, not what else a dump may
// need.
func TestRehearseOfAnArchiveNeedsPgRestore(t *testing.T) {
	t.Parallel()
	bin, _ := programsWithout(t, "pg_restore")
	o := &operator{t: t, dir: t.TempDir(), env: []string{"PGUMBRA_PG_BIN=" + bin, "PATH=" + bin}}
	o.twoMigrations()
	o.write("dump", "PGDMP\x01\x0e\x00")
	text := o.do(t.Context(), exitFindings, "rehearse", "--dump", "dump").err.String()
	if !strings.Contains(text, "dump needs pg_restore") || strings.Contains(text, "rehearse.setup") {
		t.Errorf("rehearse says:\n%s", text)
	}
}

func TestRehearseSaysWhatIsMissing(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	o := &operator{t: t, dir: t.TempDir()}
	o.twoMigrations()
	o.write("odd.yaml", "acepted: []")
	o.write("typo.yaml", "accepted:\n  - {code: client-break, object: shop.a}")
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "all"}} {
		if out, err := exec.Command("git", append([]string{"-C", o.dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %s", args, out)
		}
	}
	for _, c := range []struct {
		args []string
		env  string
		code int
		says string
	}{
		{[]string{"--format", "pdf"}, "", exitUsage, "use text, json, markdown, html, junit, sarif"},
		{[]string{"-o", "-", "-o", "nowhere/report.html"}, "", exitUsage, "there is no folder nowhere"},
		{[]string{"--fail-on", "info"}, "", exitUsage, "use blocker or warning"},
		{[]string{"--baseline", "odd.yaml"}, "", exitUsage, `odd.yaml:1: not a baseline: unknown key "acepted"; did you mean accepted?`},
		{[]string{"--baseline", "typo.yaml"}, "", exitUsage, `typo.yaml:2: there is no finding "client-break"; did you mean client-breaks?`},
		{[]string{"-o", "report.pdf"}, "", exitUsage, "use .txt, .json, .md, .html, .xml, .sarif, or say --format"},
		{[]string{"--baseline", "none.yaml"}, "", exitUsage, "none.yaml"},
		{[]string{"--set", "migrations.from=7"}, "", exitUsage, "holds no migration 7"},
		{[]string{"--set", "migrations.from=0"}, "", exitUsage, "there would be nothing to upgrade"},
		{[]string{"--set", "migrations.from=2", "-o", "nothing.txt", "-o", "nothing.md", "-o", "nothing.html", "-o", "nothing.json", "-o", "nothing.xml", "-o", "nothing.sarif"}, "", exitDone, "nothing to do"},
		{[]string{"--set", "production.dsn=postgres://nobody@127.0.0.1:1/shop"}, "PGUMBRA_PG_BIN=/nowhere", exitError, "production: "}, // before a server is looked for
		{[]string{"--git-base", "HEAD"}, "", exitDone, "nothing to do"},
		{[]string{"--git-base", "nowhere"}, "", exitUsage, "--git-base nowhere: "},
		{nil, "PGUMBRA_PG_BIN=/nowhere", exitUsage, "a rehearsal needs a disposable server"},
		{[]string{"--server-version", "9"}, "", exitUsage, "--server-version 9: pgumbra knows PostgreSQL 14 to 18"},
	} {
		o.env = []string{c.env}
		p := o.do(t.Context(), c.code, append([]string{"rehearse"}, c.args...)...)
		if !strings.Contains(p.err.String(), c.says) {
			t.Errorf("%v: %s", c.args, p.err.String())
		}
	}
	for form, is := range map[string]string{"txt": "Nothing to do", "md": "Nothing to do", "html": "Nothing to do", "json": `"nothing_to_do": true`, "xml": "Nothing to do", "sarif": `"results": []`} {
		text, err := os.ReadFile(filepath.Join(o.dir, "nothing."+form))
		if err != nil || !strings.Contains(string(text), is) || strings.Contains(string(text), "MEASURED") {
			t.Errorf("the report as %s of nothing: %v\n%s", form, err, text)
		}
	}
}
