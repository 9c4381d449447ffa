package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// sight is what transactions see that lock no position and write nothing that
// stays: production at one snapshot, and a shadow table at a position that is that
// snapshot or an earlier one. Between the two lie pending changes, whose keys are
// left out of what is compared.
type sight struct {
	ends
	position string    // that the shadow's table has
	now      string    // production's snapshot
	at       time.Time // by the shadow's clock
	replayed int64     // journal rows that the shadow's table has had
	journals string    // their storage: as long as it is the same, they hold all that came after position
	pending  comparison
}

// errBehind says that too much is pending for a comparison, or a TRUNCATE, which
// concerns every key. The caller waits until a batch has applied it.
var errBehind = errors.New("replay is behind")

// mostPending changes are looked up one by one for each range. Of touched keys they
// are a part.
const mostPending = 100_000

// see runs work in a sight of a group, repeated when storage moved meanwhile.
// Returns [errBehind], and [ErrRecopy] for a table that is not in step.
func (r *Replayer) see(ctx context.Context, f *applier, g group, work func(sight) error) error {
	return r.repeat(ctx, []*applier{f}, func() error { return r.seeOnce(ctx, f, g, work) })
}

// seeOnce takes the shadow's snapshot first: production's is never older.
func (r *Replayer) seeOnce(ctx context.Context, f *applier, g group, work func(sight) error) error {
	before, err := r.storageOf(ctx, f)
	if err != nil {
		return err
	}
	err = r.seeing(ctx, func(e ends) error {
		s, err := r.sightOf(ctx, e, f)
		if err != nil {
			return err
		}
		s.journals = before.journals
		if s.pending, err = f.pendingIn(ctx, s, g); err != nil {
			return err
		}
		if err := work(s); err != nil {
			return err
		}
		return unmoved(ctx, e.production, f.members, before.members)
	})
	if err != nil {
		return err
	}
	return r.sameCopy(ctx, f, before)
}

// seeing begins the transactions. Apart, the shadow's is one of its own.
func (r *Replayer) seeing(ctx context.Context, work func(ends) error) error {
	return pg.RepeatableRead(ctx, r.Sides.Shadow, func(shadow pgx.Tx) error {
		if !r.Sides.Remote() {
			return work(ends{shadow, shadow})
		}
		return pg.RepeatableRead(ctx, r.Sides.Production, func(production pgx.Tx) error {
			return work(ends{production, shadow})
		})
	})
}

// sightOf reads where both sides stand.
func (r *Replayer) sightOf(ctx context.Context, e ends, f *applier) (sight, error) {
	s := sight{ends: e}
	at, err := control.Where(ctx, e.shadow, r.Run, f.t.N)
	if err != nil {
		return s, err
	}
	if at.State != control.FollowingState && at.State != control.Indexing || at.Snapshot == "" {
		return s, fmt.Errorf("%s is %s: %w", f.t.Shadow, at.State, ErrRecopy)
	}
	s.position, s.replayed, s.at = at.Snapshot, at.Replayed, at.At
	s.now, err = r.look(ctx, e, []string{s.position})
	return s, err
}

// pendingIn compares the rows of a group that are left out of it. Reading the
// journals locks them, so that they are not emptied before all of it is read: in a
// savepoint, which gives the locks back before a long comparison begins.
func (f *applier) pendingIn(ctx context.Context, s sight, g group) (c comparison, err error) {
	err = undone(ctx, s.production, func(probe pgx.Tx) error {
		e := ends{probe, s.shadow}
		if !s.remote() {
			e.shadow = probe
		}
		c, err = f.pendingAt(ctx, e, s, g)
		return err
	})
	return c, err
}

func (f *applier) pendingAt(ctx context.Context, e ends, s sight, g group) (comparison, error) {
	n, err := f.readPending(ctx, e.production, s.position)
	if err != nil {
		return comparison{}, err
	}
	if n.changes > mostPending && g.touched == "" || n.whole || n.member {
		return comparison{}, fmt.Errorf("%s: %w", f.t.Shadow, errBehind)
	}
	if err := emptied(ctx, e.production, f, s.journals); err != nil || n.changes == 0 {
		return nothing(), err
	}
	return f.sumTouched(ctx, e, scope{position: s.position}, g)
}

// storage of what a sight reads: production's tables, the table's journals, and
// which copy of the table the shadow holds.
type storage struct {
	members, journals string
	copies            int32
}

func (r *Replayer) storageOf(ctx context.Context, f *applier) (s storage, err error) {
	if s.members, err = filenodes(ctx, r.Sides.Production, f.members); err != nil {
		return s, err
	}
	if s.journals, err = journalStorage(ctx, r.Sides.Production, f); err != nil {
		return s, err
	}
	at, err := control.Where(ctx, r.Sides.Shadow, r.Run, f.t.N)
	s.copies = at.Recopied
	return s, err
}

func journalStorage(ctx context.Context, db pg.Querier, f *applier) (all string, err error) {
	var names []string
	for _, j := range f.journals() {
		names = append(names, j.Tables()[0].Name, j.Tables()[1].Name)
	}
	err = db.QueryRow(ctx, `SELECT COALESCE(string_agg(c.oid::text || ':' || COALESCE(pg_catalog.pg_relation_filenode(c.oid)::text, ''), ' ' ORDER BY c.oid), '')
		FROM pg_catalog.pg_class AS c WHERE c.relnamespace = 'pgumbra'::regnamespace::oid AND c.relname = ANY ($1)`, names).Scan(&all)
	if err != nil {
		return "", fmt.Errorf("read the journals' filenodes: %w", err)
	}
	return all, nil
}

// emptied returns [errMoved] when a journal was emptied between the first look at
// it and the moment from which it cannot be.
func emptied(ctx context.Context, tx pgx.Tx, f *applier, before string) error {
	now, err := journalStorage(ctx, tx, f)
	if err == nil && now != before {
		err = errMoved
	}
	return err
}

// sameCopy: TRUNCATE, with which a copy begins anew, shows an older snapshot an
// empty table.
func (r *Replayer) sameCopy(ctx context.Context, f *applier, before storage) error {
	now, err := control.Where(ctx, r.Sides.Shadow, r.Run, f.t.N)
	if err == nil && now.Recopied != before.copies {
		err = errMoved
	}
	return err
}

// untilSeen is see that replays what is pending where it is too much.
func (r *Replayer) untilSeen(ctx context.Context, f *applier, g group, work func(sight) error) error {
	for {
		err := r.see(ctx, f, g, work)
		if !errors.Is(err, errBehind) {
			return err
		}
		if _, err := r.batch(ctx, f, 0); err != nil {
			return err
		}
	}
}
