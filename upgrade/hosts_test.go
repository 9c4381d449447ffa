package upgrade_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// TestUpgradeThroughSeveralHosts: the first host of the connection string is
// down, or a standby, and the second is the primary.
func TestUpgradeThroughSeveralHosts(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	server, err := testcontainers.Start(ctx, testcontainers.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop(limited(t, time.Minute))) })
	for i := range 2 { // before the standby is made: it must know them
		exec(t, server.DSN("postgres"), fmt.Sprintf("CREATE DATABASE hosts_%d", i))
	}
	standby, err := server.Standby(ctx, server.Addr())
	must(t, err)
	t.Cleanup(func() { must(t, standby.Stop(limited(t, time.Minute))) })
	down := closedPort(t)
	const url, keywords = "postgres://postgres@127.0.0.1:%d,127.0.0.1:%d/%s?sslmode=disable", "host=127.0.0.1,127.0.0.1 port=%d,%d user=postgres dbname=%s sslmode=disable"
	for i, c := range []struct {
		first int
		dsn   string
	}{
		{down, keywords}, {standby.Port(), url},
	} {
		database := fmt.Sprintf("hosts_%d", i)
		w := build(t, history{here: server.DSN(database),
			structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY, b text); INSERT INTO shop.a SELECT n, n FROM generate_series(1, 100) n;`,
			migrations: []string{"ALTER TABLE shop.a ADD COLUMN c int NOT NULL DEFAULT 7;"}})
		dsn := fmt.Sprintf(c.dsn, c.first, server.Port(), database)
		write(t, w.planPath, strings.Replace(read(t, w.planPath), w.production, dsn, 1))
		t.Log(dsn)
		w.run(ctx, upgrade.Options{Cutover: true})
		must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
		w.upgraded(ctx)
	}
}

// closedPort refuses connections.
func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return l.Addr().(*net.TCPAddr).Port
}
