package upgrade_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// TestNewLeaderOfTheWatchLooksBeforeItLeads: triggers, journals, positions and phase are
// held against the servers. What does not agree closes the way back for whoever leads
// next, and is not written over; a standby that finds all as it is recorded says so, and
// keeps the old side current.
func TestNewLeaderOfTheWatchLooksBeforeItLeads(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	eachPlace(t, func(t *testing.T, remote string) {
		ctx := limited(t, 2*time.Minute)
		w := build(t, history{
			structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id bigserial PRIMARY KEY, v text); INSERT INTO shop.a (v) SELECT n FROM generate_series(1, 100) n;`,
			migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
			remote:     remote,
		})
		w.run(ctx, upgrade.Options{Cutover: true})
		exec(t, w.served, "INSERT INTO shop.a (v) VALUES ('after the swap')")
		for _, c := range w.disagreements(remote) {
			before := c.was(t)
			exec(t, c.dsn, c.happens)
			w.closes(ctx, c.happens, c.says)
			exec(t, c.dsn, strings.ReplaceAll(c.mended, "$was", before))
		}
		if told := text(t, w.production, "SELECT count(*)::text FROM pgumbra.event WHERE kind = 'taken-over'"); told != "0" {
			t.Errorf("told %s times that a standby leads which could not", told)
		}
		w.standbyLeads(ctx)
		exec(t, w.served, silent)
		w.closes(ctx, silent, "a table that it starts from was changed")
		must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	})
}

// silent is a write that no trigger records; afterwards all looks as before.
const silent = `ALTER TABLE shop.a DISABLE TRIGGER USER; INSERT INTO shop.a (v) VALUES ('unseen');
	DO $$ DECLARE t name; BEGIN FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'shop.a'::regclass AND NOT tgisinternal LOOP
		EXECUTE format('ALTER TABLE shop.a ENABLE ALWAYS TRIGGER %I', t); END LOOP; END $$`

// closes wants the next leader to find that the way back is closed, and why.
func (w *world) closes(ctx context.Context, what, says string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := upgrade.Standby(ctx, w.file(), upgrade.Options{Log: w.log})
	if !errors.Is(err, upgrade.ErrClosed) || !strings.Contains(err.Error(), says) {
		w.t.Fatalf("%s: %v, want %v: %s", what, err, upgrade.ErrClosed, says)
	}
}

// standbyLeads wants a standby to say that it looked at the table, and to keep the old
// side current, until it is stopped.
func (w *world) standbyLeads(ctx context.Context) {
	w.t.Helper()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var standby errgroup.Group
	standby.Go(func() error { return upgrade.Standby(ctx, w.file(), upgrade.Options{Log: w.log}) })
	await(ctx, w.t, w.production, "SELECT EXISTS (SELECT FROM pgumbra.event WHERE kind = 'taken-over' AND (detail->>'captured')::int = 1)")
	w.keptCurrent(ctx)
	stop()
	if err := standby.Wait(); !errors.Is(err, context.Canceled) {
		w.t.Errorf("the standby: %v", err)
	}
}

// disagreement is what happens to a server in the watch while nobody leads.
type disagreement struct {
	dsn, reads    string // what is read before, which $was stands for
	happens, says string
	mended        string
}

func (d disagreement) was(t *testing.T) string {
	t.Helper()
	if d.reads == "" {
		return ""
	}
	return text(t, d.dsn, d.reads)
}

func (w *world) disagreements(remote string) []disagreement {
	all := []disagreement{{
		dsn: w.served, happens: "ALTER TABLE pgumbra.reverse_1_0_b RENAME TO elsewhere", says: "the journal pgumbra.reverse_1_0_b of shop.a is gone",
		mended: "ALTER TABLE pgumbra.elsewhere RENAME TO reverse_1_0_b",
	}, {
		dsn: w.production, reads: "SELECT position::text FROM pgumbra.shadow_table",
		happens: "UPDATE pgumbra.shadow_table SET position = '4000000000:4000000000:'", says: "the position of shop.a is ahead of the server",
		mended: "UPDATE pgumbra.shadow_table SET position = '$was'",
	}}
	if remote != "" {
		all = append(all, disagreement{dsn: w.served, happens: "UPDATE pgumbra.run SET phase = 'building'", says: "in phase building by its own record",
			mended: "UPDATE pgumbra.run SET phase = 'watching'"})
	}
	return all
}
