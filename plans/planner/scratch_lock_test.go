package planner

import (
	"fmt"
	"log/slog"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// TestScratchOfAKilledPlanIsTakenOver: its backend still creates the database
// after the process is gone, and never comes to comment on it.
func TestScratchOfAKilledPlanIsTakenOver(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, `ALTER TABLE a ADD COLUMN b int`)
	name := scratchName(s.file.Name, databaseOf(s.dsn))
	orphan, err := pg.Connect(ctx, s.dsn, pg.Options{Component: "scratch"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = orphan.Close(ctx) }()
	if err := (&scratch{admin: orphan, name: name}).lock(ctx); err != nil {
		t.Fatal(err)
	}
	var p *plans.Plan
	var group errgroup.Group
	group.Go(func() (err error) {
		p, err = Make(ctx, s.file, slog.New(slog.DiscardHandler))
		return err
	})
	for waiting := false; !waiting; {
		err := orphan.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_sleep(0.005), pg_stat_activity WHERE datname = current_database()
			AND pid <> pg_backend_pid() AND query LIKE 'SELECT pg\_try\_advisory\_lock%')`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := orphan.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s CONNECTION LIMIT %d", pg.Ident(name), scratchLimit)); err != nil {
		t.Fatal(err)
	}
	_ = orphan.Close(ctx)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if !p.Runnable {
		t.Errorf("findings: %+v", p.Findings)
	}
	s.exec(t, fmt.Sprintf("CREATE DATABASE %s", pg.Ident(name))) // the plan left none
	s.exec(t, fmt.Sprintf("DROP DATABASE %s", pg.Ident(name)))
}
