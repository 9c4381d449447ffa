package upgrade_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// After the cutover, with nobody leading, status says what the old side lacks and what
// recording it costs. Journals that end at their limit then close the way back: neither
// rollback nor run goes over the gap, and production goes on.
func TestNoRollbackOverAGapInTheJournals(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	eachPlace(t, func(t *testing.T, remote string) {
		ctx := limited(t, 2*time.Minute)
		w := build(t, history{
			structure:  `CREATE SCHEMA shop; CREATE TABLE shop.a (id bigserial PRIMARY KEY, v text); INSERT INTO shop.a (v) SELECT n FROM generate_series(1, 100) n;`,
			migrations: []string{"ALTER TABLE shop.a ADD COLUMN w int;"},
			planFile:   "capture: {max_journal: 2MB}\n",
			remote:     remote,
		})
		w.run(ctx, upgrade.Options{Cutover: true})
		exec(t, w.served, "INSERT INTO shop.a (v) SELECT n FROM generate_series(1, 250) n")
		s, err := upgrade.ReadStatus(ctx, w.file())
		must(t, err)
		if s.Leader != nil || s.Journal.Pending != 250 || s.Journal.Bytes <= 0 || s.Journal.Closed != "" {
			t.Errorf("status without a leader: %+v", s.Journal)
		}
		if s.Unled == nil || s.Unled.Tables != 1 || s.Unled.Triggers == 0 || s.Unled.Recorded != 250 {
			t.Errorf("what it costs that nobody leads: %+v", s.Unled)
		}
		for range 20 {
			exec(t, w.served, "INSERT INTO shop.a (v) SELECT repeat('x', 300) FROM generate_series(1, 900)")
		}
		s, err = upgrade.ReadStatus(ctx, w.file())
		must(t, err)
		if s.Journal.Closed == "" || s.WayBack == nil || s.WayBack.Open {
			t.Errorf("status at the limit: %+v, the way back: %+v", s.Journal, s.WayBack)
		}
		if err := upgrade.Rollback(ctx, w.file(), upgrade.Options{Log: w.log}); !errors.Is(err, upgrade.ErrClosed) {
			t.Errorf("rollback: %v, want %v", err, upgrade.ErrClosed)
		}
		if err := upgrade.Run(ctx, w.file(), upgrade.Options{Log: w.log}); !errors.Is(err, upgrade.ErrClosed) {
			t.Errorf("run: %v, want %v", err, upgrade.ErrClosed)
		}
		exec(t, w.served, "INSERT INTO shop.a (v, w) VALUES ('after', 1)")
		if got := text(t, w.served, "SELECT count(*)::text FROM shop.a"); got != "18351" {
			t.Error("rows in production:", got)
		}
		if s, err = upgrade.ReadStatus(ctx, w.file()); err != nil || *s.Phase != control.Watching {
			t.Error("after it:", s.Phase, err)
		}
		must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	})
}
