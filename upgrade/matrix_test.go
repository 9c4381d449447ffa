package upgrade_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// pairs are what can be upgraded to what. pg_dump, of 15, reads no newer
// production.
var pairs = [][2]int{{14, 15}, {14, 16}, {14, 17}, {14, 18}, {15, 16}, {15, 17}, {15, 18}}

// TestMatrix upgrades from each version to each: the cases, and random traffic
// that is redirected by PgBouncer, each compared with the migrations in place.
// Only with PGUMBRA_TEST_PAIRS=all (make test-matrix).
func TestMatrix(t *testing.T) {
	if os.Getenv("PGUMBRA_TEST_PAIRS") != "all" {
		t.Skip("PGUMBRA_TEST_PAIRS=all upgrades between all pairs of versions")
	}
	for _, versions := range pairs {
		t.Run(fmt.Sprintf("%d to %d", versions[0], versions[1]), func(t *testing.T) {
			ctx := limited(t, 6*time.Minute)
			p := newPair(ctx, t, versions[0], versions[1])
			for _, c := range cases(t) {
				if c.expect.Result == "equal" && c.setup.Shadow == "both" {
					t.Run(filepath.Base(c.dir), func(t *testing.T) { p.upgrades(ctx, t, c) })
				}
			}
			t.Run("traffic", func(t *testing.T) { p.traffic(ctx, t) })
			t.Run("an older shadow", func(t *testing.T) { p.notBack(ctx, t) })
		})
	}
}

// upgrades takes a case from server to server. Structure is not compared: another version
// spells it otherwise.
func (p *pair) upgrades(ctx context.Context, t *testing.T, c folder) {
	structure := read(t, filepath.Join(c.dir, "production.sql"))
	if roles := filepath.Join(c.dir, "cluster.sql"); exists(roles) {
		exec(t, p.production.DSN("postgres"), read(t, roles))
	}
	if err := try(ctx, databaseOn(t, p.production), structure); err != nil {
		t.Skip("production's version does not have this:", err)
	}
	if strings.Contains(structure, "CREATE EXTENSION") && try(ctx, databaseOn(t, p.shadow), "CREATE EXTENSION citext") != nil {
		t.Skip("the shadow's server has no contrib modules")
	}
	f := c.build(ctx, t, way{suffix: fmt.Sprintf("_%d_%d", p.from, p.to), remote: true, pair: p})
	f.follow(ctx)
	f.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, f.file(), cutover.KeepOld, upgrade.Purge, f.log))
	f.migrateTwin(ctx)
	f.sameRows(ctx, c.expect.LeaveOut...)
}

// traffic stops once every table follows, for production to be copied and
// migrated in place, and goes on through the cutover.
func (p *pair) traffic(ctx context.Context, t *testing.T) {
	w := build(t, p.history(trafficHistory(t)))
	w.clients = p.bouncer.DSN("app")
	f := newFleet(t, w)
	f.start(ctx)
	w.run(ctx, upgrade.Options{Until: control.Following})
	f.comparedAtABarrier(ctx)
	must(t, upgrade.Finish(ctx, w.file(), cutover.KeepOld, upgrade.Purge, w.log))
	f.balanced(ctx)
}

// notBack wants an upgrade to an older version refused.
func (p *pair) notBack(ctx context.Context, t *testing.T) {
	w := build(t, history{here: databaseOn(t, p.shadow), remote: databaseOn(t, p.production), schemas: []string{"public"},
		structure: "SELECT 1", migrations: []string{"CREATE TABLE a (id int PRIMARY KEY);"}})
	plan, err := upgrade.Plan(ctx, w.file(), w.log)
	must(t, err)
	if plan.Runnable || !slices.ContainsFunc(plan.Findings, func(f plans.Finding) bool { return f.Code == "shadow-older" }) {
		t.Errorf("an upgrade to an older version: %+v", plan.Findings)
	}
}

var databases int

// databaseOn makes an empty database on a server that ends with the test.
func databaseOn(t *testing.T, s *testcontainers.Server) string {
	t.Helper()
	databases++
	name := fmt.Sprintf("t%d", databases)
	exec(t, s.DSN("postgres"), "CREATE DATABASE "+name+" TEMPLATE template0")
	return s.DSN(name)
}

func try(ctx context.Context, dsn, script string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return conn.PgConn().Exec(ctx, script).Close()
}
