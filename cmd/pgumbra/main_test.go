package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/examples/shop"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// asProgram makes the test binary behave as pgumbra itself: tests start it as a
// process that they can kill.
const asProgram = "PGUMBRA_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" || len(os.Args) > 1 && os.Args[1] == parseCommand {
		os.Exit(run(os.Args[1:]))
	}
	testcontainers.Run(m)
}

// operator types commands in a folder with a plan file.
type operator struct {
	t       *testing.T
	dir     string
	dsn     string
	env     []string // more of it
	run     string   // its name, where operatorOf made the plan file
	program string   // another pgumbra than this one; empty: this one

	there   string // the shadow's database; empty: production's
	clients string // where clients connect; empty: production itself
}

func (o *operator) start(ctx context.Context, args ...string) *process {
	o.t.Helper()
	exe, err := os.Executable()
	must(o.t, err)
	p, err := startProgram(ctx, cmp.Or(o.program, exe), o.dir, o.env, args...)
	must(o.t, err)
	return p
}

// startProgram runs pgumbra, which may be this test binary, in a folder.
func startProgram(ctx context.Context, program, dir string, env []string, args ...string) (*process, error) {
	p := newProgram(ctx, program, dir, env, args...)
	return p, p.start()
}

func newProgram(ctx context.Context, program, dir string, env []string, args ...string) *process {
	p := &process{Cmd: exec.CommandContext(ctx, program, args...), over: make(chan struct{})}
	p.Dir, p.Env = dir, append(os.Environ(), asProgram+"=1")
	p.Env = append(p.Env, env...)
	p.Stdout, p.Stderr = &p.out, &p.err
	return p
}

func (p *process) start() error {
	if err := p.Start(); err != nil {
		return err
	}
	go func() {
		_ = p.Wait() // the exit code says it
		close(p.over)
	}()
	return nil
}

type process struct {
	*exec.Cmd
	out, err strings.Builder
	over     chan struct{} // closed at its end
}

// code waits for the end of a process.
func (p *process) code() int {
	<-p.over
	return p.ProcessState.ExitCode()
}

// do runs a command to its end and wants an exit code.
func (o *operator) do(ctx context.Context, want int, args ...string) *process {
	o.t.Helper()
	p := o.start(ctx, args...)
	if got := p.code(); got != want {
		o.t.Fatalf("pgumbra %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, want, &p.out, &p.err)
	}
	return p
}

// oneInFive of the shop's rows is enough for a run to be met at each of its moments.
const oneInFive = 5

// shopOwner is an operator with a shop of 40,000 orders at version 1 and a
// plan file made by init.
func shopOwner(t *testing.T) *operator {
	t.Helper()
	o := &operator{t: t, dir: t.TempDir(), dsn: testcontainers.Database(t)}
	ctx := limited(t, time.Minute)
	conn, err := pgx.Connect(ctx, o.dsn)
	must(t, err)
	defer conn.Close(ctx)
	must(t, shop.Load(ctx, conn, oneInFive))
	must(t, os.Mkdir(filepath.Join(o.dir, "migrations"), 0o755))
	must(t, shop.WriteMigrations(filepath.Join(o.dir, "migrations")))
	o.do(ctx, exitDone, "init", "--production", o.dsn, "--schema", "shop", "--migrations", "migrations")
	return o
}

func (o *operator) query(ctx context.Context, sql string) string {
	conn, err := pgx.Connect(ctx, o.dsn)
	if err != nil {
		return ""
	}
	defer conn.Close(ctx)
	var answer *string
	if conn.QueryRow(ctx, sql).Scan(&answer) != nil || answer == nil {
		return ""
	}
	return *answer
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	o := &operator{t: t, dir: t.TempDir(), dsn: testcontainers.Database(t)}
	plan := func(text string) { must(t, os.WriteFile(filepath.Join(o.dir, "pgumbra.yaml"), []byte(text), 0o644)) }
	good := fmt.Sprintf("name: up\nproduction: {dsn: %q, schemas: [public]}\nmigrations: {path: migrations}\n", o.dsn)

	o.do(ctx, exitUsage, "plan") // no plan file
	plan("name: up\nproductoin: {}\n")
	o.do(ctx, exitUsage, "plan")
	plan(good)
	o.do(ctx, exitUsage, "plan") // no migrations folder
	o.do(ctx, exitUsage, "plan", "--frobnicate")
	o.do(ctx, exitUsage, "run", "--until", "forever")
	must(t, os.MkdirAll(filepath.Join(o.dir, "migrations"), 0o755))
	write := func(name, text string) {
		must(t, os.WriteFile(filepath.Join(o.dir, "migrations", name), []byte(text), 0o644))
	}
	write("1_a.up.sql", "CREATE TABLE public.a (id int PRIMARY KEY);")
	write("2_b.up.sql", "ALTER TABLE public.a ADD COLUMN b int;\nALTER TABLE public.nowhere ADD COLUMN b int;")
	failed := o.do(ctx, exitFindings, "plan")
	if text := failed.out.String(); !strings.Contains(text, "2_b.up.sql:2") || !strings.Contains(text, "42P01") {
		t.Errorf("a failing migration is not named by file, line and SQLSTATE:\n%s", text)
	}
	status := o.do(ctx, exitDone, "status", "--json")
	var answer map[string]any
	must(t, json.Unmarshal([]byte(status.out.String()), &answer))
	if phase, there := answer["phase"]; !there || phase != nil {
		t.Errorf("status without a run: phase is %v, want null", phase)
	}
	o.do(ctx, exitDone, "abort")
	o.do(ctx, exitError, "finish")
	o.do(ctx, exitError, "cutover")
	plan(strings.ReplaceAll(good, "127.0.0.1", "127.0.0.1:1,127.0.0.1"))
	plan("name: up\nproduction: {dsn: \"postgres://postgres:geheim@127.0.0.1:1/x\", schemas: [public]}\nmigrations: {path: migrations}\n")
	if p := o.do(ctx, exitError, "plan"); strings.Contains(p.out.String()+p.err.String(), "geheim") {
		t.Error("a password was printed")
	}
}
