package traffic

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestMain(m *testing.M) { testcontainers.Run(m) }

// fixture is a PgBouncer in front of production, and a shadow.
type fixture struct {
	t       *testing.T
	bouncer *testcontainers.PgBouncer
	file    *planfile.File
	traffic *Traffic
}

func shopFile() *planfile.File {
	return &planfile.File{Name: "shop-v2", Settings: plans.DefaultSettings()}
}

func start(t *testing.T, o testcontainers.PgBouncerOptions) *fixture {
	t.Helper()
	f := &fixture{t: t, file: shopFile()}
	f.file.Production.DSN, f.file.Shadow.DSN = testcontainers.Database(t), testcontainers.Database(t)
	if o.Databases == nil {
		o.Databases = map[string]string{"shop": f.file.Production.DSN}
	}
	f.bouncer = startBouncer(t, o)
	f.serve(f.bouncer)
	return f
}

func startBouncer(t *testing.T, o testcontainers.PgBouncerOptions) *testcontainers.PgBouncer {
	t.Helper()
	b, err := testcontainers.StartPgBouncer(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(b.Log())
		}
		if err := b.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return b
}

// serve adds a PgBouncer to the plan and opens it anew.
func (f *fixture) serve(b *testcontainers.PgBouncer) {
	f.t.Helper()
	f.file.Traffic.PgBouncer = append(f.file.Traffic.PgBouncer,
		planfile.PgBouncerFile{AdminDSN: b.AdminDSN(), Database: "shop", Config: b.ConfigPath()})
	f.traffic = open(f.t, f.file)
}

func open(t *testing.T, f *planfile.File) *Traffic {
	t.Helper()
	traffic, err := Open(f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return traffic
}

func (f *fixture) must(step func(context.Context) error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	if err := step(ctx); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) wantSide(want Side) {
	f.t.Helper()
	side, err := f.traffic.Side(f.t.Context())
	if err != nil || side != want {
		f.t.Errorf("side %+v (%v), want %+v", side, err, want)
	}
}

func (f *fixture) config() string {
	f.t.Helper()
	text, err := os.ReadFile(f.bouncer.ConfigPath())
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// change edits the configuration as a person would; PgBouncer does not know yet.
func (f *fixture) change(old, text string) {
	f.t.Helper()
	before := f.config()
	if !strings.Contains(before, old) {
		f.t.Fatalf("no %q in %s", old, before)
	}
	if err := os.WriteFile(f.bouncer.ConfigPath(), []byte(strings.Replace(before, old, text, 1)), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) admin(command string) {
	f.t.Helper()
	c, err := dial(f.t.Context(), f.bouncer.AdminDSN())
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.close()
	if _, err := c.send(f.t.Context(), command); err != nil {
		f.t.Fatal(err)
	}
}

func client(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// currentDatabase is where a client is led.
func currentDatabase(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	var name string
	if err := conn.QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

func databaseOf(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// clients write transactions through PgBouncer until stopped; each tells where
// it was led.
type clients struct {
	group  errgroup.Group
	stop   chan struct{}
	shadow atomic.Int64 // transactions that were done there
	total  atomic.Int64
}

func (f *fixture) clients(n int) *clients {
	f.t.Helper()
	c := &clients{stop: make(chan struct{})}
	shadow := databaseOf(f.t, f.file.Shadow.DSN)
	for range n {
		conn := client(f.t, f.bouncer.DSN("shop"))
		c.group.Go(func() error {
			for {
				select {
				case <-c.stop:
					return nil
				default:
				}
				if err := c.transaction(f.t.Context(), conn, shadow); err != nil {
					return err
				}
			}
		})
	}
	return c
}

func (c *clients) transaction(ctx context.Context, conn *pgx.Conn, shadow string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var at string
		if err := tx.QueryRow(ctx, "SELECT current_database()").Scan(&at); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO ledger DEFAULT VALUES"); err != nil {
			return err
		}
		c.total.Add(1)
		if at == shadow {
			c.shadow.Add(1)
		}
		return nil
	})
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := poll(ctx, 2*time.Millisecond, func() (bool, error) { return done(), nil }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func owner(info os.FileInfo) [3]uint32 {
	stat := info.Sys().(*syscall.Stat_t)
	return [3]uint32{stat.Uid, stat.Gid, stat.Mode}
}

// write makes a file of PgBouncer's, with the owner of its configuration.
func (f *fixture) write(path, text string) {
	f.t.Helper()
	if err := keepFile(f.bouncer.ConfigPath(), path, text); err != nil {
		f.t.Fatal(err)
	}
}

// leadTo is a step as [Traffic.Pause] is.
func leadTo(t *Traffic, place Place) func(context.Context) error {
	return func(ctx context.Context) error { return t.Switch(ctx, place) }
}
