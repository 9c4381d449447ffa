// Package workload is clients that use a disposable database as an application
// might: inserts, updates of every column, deletes, changed keys, other parents,
// long transactions and such as are rolled back, all generated from the catalog.
// They run through a cutover, and learn the new structure there, as an application
// does that is deployed in that moment.
//
// From the swap on they hold back their commits, unless told otherwise: so what
// the shadow holds is exactly what became of production as it was at the fence.
package workload

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/rehearsal/generate"
)

// Clients is a number of them. The fields up to Think are set before [Clients.Run].
type Clients struct {
	// Databases are production's, then the shadow's where that is another one, as they
	// are reached directly.
	Databases []string
	// Pool is the PgBouncer through which clients come; empty: they come directly, and
	// go over to the other database when theirs refuses writes.
	Pool     string
	Schemas  []string // those whose tables they use
	Number   int
	Generate generate.Options // how values are made
	Think    time.Duration    // between two transactions of a client; default 2 ms
	Recycled bool             // idle sessions are ended after the swap, as the plan file asks

	calm     atomic.Bool  // see [Clients.Pace]
	commits  atomic.Bool  // after the swap too
	at       atomic.Int32 // of Databases, where they come directly
	known    knowledge
	first    map[pg.Name]place // the tables when they began
	learning sync.Mutex

	mu     sync.Mutex
	counts Counts
}

// Counts is what the clients met with so far.
type Counts struct {
	Committed  int64 `json:"committed"`
	RolledBack int64 `json:"rolled_back"` // on purpose
	Withheld   int64 `json:"withheld"`    // after the swap: rolled back at the end
	// Refused by a constraint or a trigger, as a client's mistake is.
	Refused int64 `json:"refused"`
	// Repeated are those that PostgreSQL asks to repeat: 40001 and deadlocks.
	Repeated int64 `json:"repeated"`
	// Broken are statements that the new structure does not take, by message: what
	// an application meets with that is not deployed at the cutover.
	Broken map[string]int64 `json:"broken"`
	// Failed is what must not be, by message.
	Failed    map[string]int64 `json:"failed"`
	LongestMS float64          `json:"longest_statement_ms"`
}

// Done is how many transactions ended.
func (c Counts) Done() int64 { return c.Committed + c.RolledBack + c.Withheld + c.Refused }

// Pace is how much the clients do.
type Pace bool

// The paces. Calm clients leave the processors to the copy and the proof, which a million
// rows keep busy for minutes: after each transaction they rest four times as long as it
// took. Busy ones rest no longer than Think, as throughput is measured and the cutover
// tried.
const (
	Busy Pace = false
	Calm Pace = true
)

// Pace changes it, at once; they begin busy.
func (c *Clients) Pace(p Pace) { c.calm.Store(bool(p)) }

// rest is the time between a transaction that took so long and the next one.
func (c *Clients) rest(took time.Duration) time.Duration {
	least := max(c.Think, 2*time.Millisecond)
	if c.calm.Load() {
		return min(max(least, 4*took), time.Second)
	}
	return least
}

// CommitAfterSwap lets the clients commit in the new structure too.
func (c *Clients) CommitAfterSwap(yes Commits) { c.commits.Store(bool(yes)) }

// Commits says what becomes of transactions after the swap.
type Commits bool

// The choices.
const (
	Withhold Commits = false
	Commit   Commits = true
)

// Count is what happened up to now.
func (c *Clients) Count() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.counts
	counts.Broken, counts.Failed = maps.Clone(c.counts.Broken), maps.Clone(c.counts.Failed)
	return counts
}

// ForgetLongest begins the measuring of the longest statement anew.
func (c *Clients) ForgetLongest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.LongestMS = 0
}

// Learn reads the structure and some rows' keys. [Clients.Run] needs it.
func (c *Clients) Learn(ctx context.Context) error {
	c.counts.Broken, c.counts.Failed, c.first = map[string]int64{}, map[string]int64{}, map[pg.Name]place{}
	if err := c.learn(ctx, 0); err != nil {
		return err
	}
	for _, u := range c.known.usages {
		c.first[u.table.Name] = c.known.place(u)
	}
	return nil
}

// Run keeps the clients busy until the context ends. What they meet with is
// counted; the error is that they could not go on.
func (c *Clients) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for n := range c.Number {
		group.Go(func() error {
			if err := c.client(ctx, n); err != nil {
				return fmt.Errorf("client %d: %w", n, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// knowledge is what the clients know of the database.
type knowledge struct {
	edition  int // counts the times that it was learned
	database string
	usages   []*usage
	tuples   map[string][][]*string // parents' keys, by table and columns
}

// place is where a table's name leads; an oid of 0 is nowhere.
type place struct {
	database string
	oid      uint32
}

func (k knowledge) place(u *usage) place { return place{k.database, u.table.OID()} }

// usage is a table with the statements for it.
type usage struct {
	table   *generate.Table
	insert  string
	decided []string // columns that foreign keys decide, parameters of insert
	updates []string // one for each column that can be changed so
	keys    []string // the same for columns of the key
	foreign []generate.Foreign
	rows    [][]*string // keys
}

const sampled = 400 // rows of a table whose keys clients know

// learn reads the structure unless somebody did since the edition that found it
// changed. What is dropped after the swap while the catalogs are read makes a read
// fail; the next one succeeds.
func (c *Clients) learn(ctx context.Context, since int) error {
	c.learning.Lock()
	defer c.learning.Unlock()
	if c.known.edition > since {
		return nil
	}
	var k knowledge
	pauses := pg.Every(100 * time.Millisecond)
	pauses.Patience = 5 * time.Second
	err := pg.Retry(ctx, pauses, func(error) bool { return true }, func() (err error) {
		k, err = c.read(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if len(k.usages) == 0 && since > 0 {
		return nil // not there yet
	}
	k.edition = since + 1
	c.known = k
	return nil
}

func (c *Clients) read(ctx context.Context) (k knowledge, err error) {
	dsn, err := c.current(ctx)
	if err != nil {
		return k, err
	}
	conn, err := pg.Connect(ctx, dsn, pg.Options{Component: "clients"})
	if err != nil {
		return k, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	k.database = conn.Config().Database
	m, err := generate.Read(ctx, conn, c.Generate)
	if err != nil {
		return k, err
	}
	k.tuples = map[string][][]*string{}
	for _, t := range m.Tables {
		if !slices.Contains(c.Schemas, t.Name.Schema) || len(t.Columns) == 0 {
			continue
		}
		u := newUsage(m, t)
		if len(t.Key) > 0 {
			if u.rows, err = t.Sample(ctx, conn, t.Key, sampled); err != nil {
				return k, err
			}
		}
		for _, f := range u.foreign {
			if k.tuples[tupleID(f)], err = f.To.Sample(ctx, conn, f.RefColumns, sampled); err != nil {
				return k, err
			}
		}
		k.usages = append(k.usages, u)
	}
	return k, nil
}

func tupleID(f generate.Foreign) string {
	return f.To.Name.Quoted() + "(" + strings.Join(f.RefColumns, ",") + ")"
}

func newUsage(m *generate.Model, t *generate.Table) *usage {
	u := &usage{table: t, foreign: t.Foreign()}
	u.insert, u.decided = m.Insert(t)
	for _, column := range t.Columns {
		sql := m.Update(t, column)
		switch {
		case sql == "":
		case column.InKey:
			u.keys = append(u.keys, sql)
		default:
			u.updates = append(u.updates, sql)
		}
	}
	return u
}

// knowing is what is known now.
func (c *Clients) knowing() knowledge {
	c.learning.Lock()
	defer c.learning.Unlock()
	return c.known
}
