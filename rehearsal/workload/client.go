package workload

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// client is one session.
type client struct {
	of     *Clients
	conn   *pgx.Conn
	random *rand.Rand
	n      int64 // of the last row that it made
	turn   int   // of the columns to be updated
	at     int32 // of the databases
}

// Numbers of clients' rows begin here: those of the filling are below.
const (
	firstRow   = 1_000_000_000
	rowsClient = 10_000_000
)

func (c *Clients) client(ctx context.Context, number int) error {
	one := &client{of: c, random: rand.New(rand.NewPCG(c.Generate.Seed, uint64(number))), n: firstRow + int64(number)*rowsClient}
	defer func() {
		if one.conn != nil {
			_ = one.conn.Close(context.WithoutCancel(ctx))
		}
	}()
	for ctx.Err() == nil {
		if one.conn == nil || one.conn.IsClosed() {
			if err := one.connect(context.WithoutCancel(ctx)); err != nil {
				return err
			}
		}
		began := time.Now()
		if err := one.once(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(c.rest(time.Since(began))):
		}
	}
	return nil
}

// step is a statement of a transaction.
type step struct {
	sql   string
	args  []any
	pause time.Duration // before it
}

// act is a transaction on a table.
type act struct {
	on    *usage
	steps []step
	end   end
}

type end int

const (
	commits end = iota
	rollsBack
	reads
)

// once runs one transaction, and counts what became of it.
func (c *client) once(ctx context.Context) error {
	known := c.of.knowing()
	if len(known.usages) == 0 {
		return errors.New("there is no table to work on")
	}
	a := c.choose(known)
	swapped, err := c.run(ctx, a)
	if err == nil {
		c.count(a, swapped)
		return nil
	}
	return c.classify(ctx, known, a, err)
}

// errNothing rolls back what is not to be committed.
var errNothing = errors.New("rolled back on purpose")

func (c *client) run(ctx context.Context, a act) (swapped bool, err error) {
	err = pg.ReadCommitted(ctx, c.conn, func(tx pgx.Tx) error {
		for _, s := range a.steps {
			if s.pause > 0 {
				select {
				case <-ctx.Done():
				case <-time.After(s.pause):
				}
			}
			began := time.Now()
			_, err := tx.Exec(ctx, s.sql, s.args...)
			c.took(time.Since(began))
			if err != nil {
				return err
			}
		}
		if a.end == reads {
			return nil
		}
		if swapped, err = c.swapped(ctx, tx, a); err != nil {
			return err
		}
		if a.end == rollsBack || swapped && !c.of.commits.Load() {
			return errNothing
		}
		return nil
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	return swapped, err
}

// swapped reports whether the table's name leads to another table than it did when
// the clients began. Who has written to a table knows it for the whole transaction:
// the fence waits for its end.
func (c *client) swapped(ctx context.Context, db pg.Querier, a act) (bool, error) {
	to, err := c.leadsTo(ctx, db, a)
	return to != c.of.first[a.on.table.Name], err
}

// leadsTo is where the table's name leads now.
func (c *client) leadsTo(ctx context.Context, db pg.Querier, a act) (to place, err error) {
	err = db.QueryRow(ctx, "SELECT current_database(), coalesce(to_regclass($1)::oid, 0)", a.on.table.Name.Quoted()).Scan(&to.database, &to.oid)
	return to, err
}

func (c *client) took(d time.Duration) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.counts.LongestMS = max(c.of.counts.LongestMS, float64(d.Microseconds())/1000)
}

func (c *client) count(a act, swapped bool) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	switch {
	case a.end == rollsBack:
		c.of.counts.RolledBack++
	case swapped && !c.of.commits.Load():
		c.of.counts.Withheld++
	default:
		c.of.counts.Committed++
	}
}

// classify counts an error. What a constraint refuses is the client's own; what the
// new structure does not take makes it learn that.
func (c *client) classify(ctx context.Context, known knowledge, a act, err error) error {
	state := pg.State(err)
	class := ""
	if len(state) == 5 {
		class = state[:2]
	}
	add := func(to func(*Counts)) {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		to(&c.of.counts)
	}
	switch {
	case c.goesOver(ctx, known, state):
		add(func(n *Counts) { n.Repeated++ })
		return nil
	case state == pgerrcode.SerializationFailure, state == pgerrcode.DeadlockDetected, c.of.Recycled && c.conn.IsClosed():
		add(func(n *Counts) { n.Repeated++ })
		return nil
	case slices.Contains([]string{"22", "23", "P0"}, class), raisedOnPurpose(err, class):
		add(func(n *Counts) { n.Refused++ })
		return nil
	case class == "42", class == "0A", class == "3F":
		if !c.movedAway(ctx, known, a) {
			break
		}
		add(func(n *Counts) { n.Broken[a.on.table.Name.String()+": "+pg.Message(err)]++ })
		return c.of.learn(ctx, known.edition)
	}
	add(func(n *Counts) { n.Failed[a.on.table.Name.String()+": "+err.Error()]++ })
	return nil
}

// raisedOnPurpose: a trigger of the application refuses the change, by a code of its
// own. pgumbra's own triggers raise codes of the classes 25, 40 and 55.
func raisedOnPurpose(err error, class string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && strings.Contains(e.Where, " at RAISE") && !slices.Contains([]string{"25", "40", "55"}, class)
}

// movedAway reports whether the table's name is known to lead to another table now.
func (c *client) movedAway(ctx context.Context, known knowledge, a act) bool {
	to, err := c.leadsTo(ctx, c.conn, a)
	return err == nil && to != known.place(a.on)
}

// choose draws a transaction.
func (c *client) choose(known knowledge) act {
	on := known.usages[c.random.IntN(len(known.usages))]
	a := act{on: on, end: commits}
	switch dice := c.random.IntN(100); {
	case dice < 35:
		a.steps = c.insert(known, on)
	case dice < 62:
		a.steps = c.update(on)
	case dice < 67:
		a.steps = c.adopt(known, on)
	case dice < 72:
		a.steps = c.changeKey(on)
	case dice < 77:
		a.steps = c.byKey(on, on.table.Delete())
	case dice < 83:
		a.steps, a.end = append(c.insert(known, on), c.update(on)...), rollsBack
	case dice < 85:
		a.steps = append(c.insert(known, on), paused(c.update(on))...)
	case dice < 92:
		a.steps = append(append(c.update(on), c.insert(known, on)...), c.update(on)...)
	default:
		a.steps, a.end = c.read(on), reads
	}
	if len(a.steps) == 0 {
		a.steps, a.end = c.read(on), reads
	}
	return a
}

func paused(steps []step) []step {
	for i := range steps {
		steps[i].pause = 60 * time.Millisecond
	}
	return steps
}

func (c *client) next() int64 {
	c.n++
	return c.n
}

func (c *client) insert(known knowledge, on *usage) []step {
	values, ok := c.parents(known, on)
	if !ok {
		return nil
	}
	args := []any{c.next()}
	for _, column := range on.decided {
		args = append(args, values[column])
	}
	return []step{{sql: on.insert, args: args}}
}

// parents draws a parent for each foreign key, of the same values in the columns
// that several of them share.
func (c *client) parents(known knowledge, on *usage) (map[string]*string, bool) {
	values := map[string]*string{}
	for _, f := range on.foreign {
		fits := slices.DeleteFunc(slices.Clone(known.tuples[tupleID(f)]), func(tuple []*string) bool {
			for i, column := range f.Columns {
				if v, decided := values[column]; decided && (v == nil || tuple[i] == nil || *v != *tuple[i]) {
					return true
				}
			}
			return false
		})
		none := f.Alone || len(fits) == 0 || !f.Needed && c.random.IntN(10) == 0
		if none && f.Needed {
			return nil, false
		}
		for i, column := range f.Columns {
			if _, decided := values[column]; decided {
				continue
			}
			values[column] = nil
			if !none {
				values[column] = fits[c.random.IntN(len(fits))][i]
			}
		}
	}
	return values, true
}

func (c *client) row(on *usage) []any {
	if len(on.rows) == 0 {
		return nil
	}
	var args []any
	for _, v := range on.rows[c.random.IntN(len(on.rows))] {
		args = append(args, v)
	}
	return args
}

// update gives the next column its turn.
func (c *client) update(on *usage) []step {
	row := c.row(on)
	if row == nil || len(on.updates) == 0 {
		return nil
	}
	c.turn++
	return []step{{sql: on.updates[c.turn%len(on.updates)], args: append([]any{c.next()}, row...)}}
}

func (c *client) changeKey(on *usage) []step {
	row := c.row(on)
	if row == nil || len(on.keys) == 0 || on.table.Parent {
		return nil
	}
	return []step{{sql: on.keys[c.random.IntN(len(on.keys))], args: append([]any{c.next()}, row...)}}
}

func (c *client) adopt(known knowledge, on *usage) []step {
	row := c.row(on)
	if row == nil || len(on.foreign) == 0 {
		return nil
	}
	f := on.foreign[c.random.IntN(len(on.foreign))]
	tuples := known.tuples[tupleID(f)]
	if len(tuples) == 0 || f.Alone {
		return nil
	}
	var args []any
	for _, v := range tuples[c.random.IntN(len(tuples))] {
		args = append(args, v)
	}
	return []step{{sql: on.table.Adopt(f), args: append(args, row...)}}
}

func (c *client) byKey(on *usage, sql string) []step {
	row := c.row(on)
	if row == nil || sql == "" || on.table.Parent {
		return nil
	}
	return []step{{sql: sql, args: row}}
}

func (c *client) read(on *usage) []step {
	if len(on.table.Key) > 0 && len(on.rows) == 0 {
		return []step{{sql: on.table.First()}}
	}
	return []step{{sql: on.table.Select(), args: c.row(on)}}
}
