package shop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Ledger is what clients were told: each entry is a commit that the server
// acknowledged. The final database must hold every one, and each only once.
type Ledger struct {
	mu      sync.Mutex
	orders  map[string]string // token of an order to its total
	visits  map[int]int       // customer to acknowledged increments
	deleted map[string]bool
	audit   int

	Commits  int
	Longest  time.Duration // longest a client waited for one transaction
	Failures []string      // errors that clients saw
}

// Traffic is a number of clients that use the shop as an application does, in
// READ COMMITTED, knowing only names that old and new structure share.
type Traffic struct {
	DSN     string
	Clients int
	Seed    uint64
	Think   time.Duration // pause of a client between two transactions
	Ledger  Ledger
}

// Run keeps the clients busy until the context ends.
func (t *Traffic) Run(ctx context.Context) error {
	t.Ledger.orders, t.Ledger.visits, t.Ledger.deleted = map[string]string{}, map[int]int{}, map[string]bool{}
	group := errgroup.Group{}
	for i := range t.Clients {
		group.Go(func() error { return t.client(ctx, uint64(i)) })
	}
	return group.Wait()
}

func (t *Traffic) client(ctx context.Context, n uint64) error {
	conn, err := pgx.Connect(context.WithoutCancel(ctx), t.DSN)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	random := rand.New(rand.NewPCG(t.Seed, n))
	mine := []string{} // tokens of this client's orders
	for ctx.Err() == nil {
		began := time.Now()
		note, err := t.transaction(context.WithoutCancel(ctx), conn, random, &mine)
		t.Ledger.enter(note, err, time.Since(began))
		if err != nil && conn.IsClosed() {
			return fmt.Errorf("client %d lost its connection: %w", n, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(t.Think):
		}
	}
	return nil
}

func (l *Ledger) enter(note func(*Ledger), err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Longest = max(l.Longest, took)
	if err != nil {
		l.Failures = append(l.Failures, err.Error())
		return
	}
	l.Commits++
	note(l)
}

var errRollback = errors.New("rolled back on purpose")

// transaction is one of the things a shop does. The note is entered in the
// ledger only once the commit was acknowledged.
func (t *Traffic) transaction(ctx context.Context, conn *pgx.Conn, random *rand.Rand, mine *[]string) (func(*Ledger), error) {
	var note func(*Ledger)
	var token string
	dice := random.IntN(100)
	err := pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) (err error) {
		switch {
		case dice < 40:
			token, note, err = order(ctx, tx, random)
		case dice < 60:
			note, err = visit(ctx, tx, random)
		case dice < 75:
			note, err = transfer(ctx, tx, random)
		case dice < 85 && len(*mine) > 0:
			note, err = cancel(ctx, tx, (*mine)[0])
		case dice < 90:
			_, note, err = order(ctx, tx, random)
			err = errors.Join(err, errRollback)
		default:
			note, err = log(ctx, tx)
		}
		return err
	})
	if errors.Is(err, errRollback) && pg.State(err) == "" {
		return func(*Ledger) {}, nil
	}
	if err == nil && token != "" {
		*mine = append(*mine, token)
	}
	if err == nil && dice >= 75 && dice < 85 && len(*mine) > 0 {
		*mine = (*mine)[1:]
	}
	return note, err
}

func order(ctx context.Context, tx pgx.Tx, random *rand.Rand) (string, func(*Ledger), error) {
	var token, total string
	var id int64
	err := tx.QueryRow(ctx, `INSERT INTO shop.orders (customer_id, country, total) VALUES ($1, $2, $3)
		RETURNING id::bigint, token::text, total::text`, 1+random.IntN(20000), []string{"CH", "DE"}[random.IntN(2)],
		fmt.Sprintf("%d.%02d", random.IntN(1000), random.IntN(100))).Scan(&id, &token, &total)
	if err != nil {
		return "", nil, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO shop.order_lines (order_id, line, product, quantity)
		SELECT $1, n, 'product ' || n, n FROM generate_series(1, 3) n`, id)
	if err == nil && random.IntN(2) == 0 {
		_, err = tx.Exec(ctx, `UPDATE shop.orders SET status = 'paid' WHERE id = $1`, id)
	}
	return token, func(l *Ledger) { l.orders[token] = total }, err
}

func visit(ctx context.Context, tx pgx.Tx, random *rand.Rand) (func(*Ledger), error) {
	customer := 1 + random.IntN(500)
	_, err := tx.Exec(ctx, `UPDATE shop.customers SET visits = visits + 1 WHERE id = $1`, customer)
	if err == nil {
		_, err = tx.Exec(ctx, `INSERT INTO shop.events (kind) VALUES ('visit')`)
	}
	return func(l *Ledger) { l.visits[customer]++ }, err
}

// transfer moves money between two customers; the sum of balances never
// changes.
func transfer(ctx context.Context, tx pgx.Tx, random *rand.Rand) (func(*Ledger), error) {
	pair := []int{1 + random.IntN(20000), 1 + random.IntN(20000)}
	if pair[0] == pair[1] {
		pair[1] = pair[0]%20000 + 1
	}
	slices.Sort(pair) // one order of locks for all clients
	amount := random.IntN(100) - 50
	for i, customer := range pair {
		_, err := tx.Exec(ctx, `UPDATE shop.customers SET balance = balance + $2 WHERE id = $1`, customer, amount*(1-2*i))
		if err != nil {
			return nil, err
		}
	}
	return func(*Ledger) {}, nil
}

func cancel(ctx context.Context, tx pgx.Tx, token string) (func(*Ledger), error) {
	_, err := tx.Exec(ctx, `DELETE FROM shop.orders WHERE token = $1`, token)
	return func(l *Ledger) { l.deleted[token] = true }, err
}

func log(ctx context.Context, tx pgx.Tx) (func(*Ledger), error) {
	_, err := tx.Exec(ctx, `INSERT INTO shop.audit_log (what) VALUES ('tick'), ('tick')`)
	return func(l *Ledger) { l.audit += 2 }, err
}

// Check asks the database for each entry of the ledger. It returns what is
// lost, doubled or altered; nothing is right.
func (l *Ledger) Check(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	var wrong []string
	found := map[string]string{}
	rows, err := conn.Query(ctx, `SELECT token::text, total::text FROM shop.orders`)
	if err != nil {
		return nil, err
	}
	var token, total string
	if _, err := pgx.ForEachRow(rows, []any{&token, &total}, func() error { found[token] = total; return nil }); err != nil {
		return nil, err
	}
	for token, total := range l.orders {
		got, there := found[token]
		switch {
		case l.deleted[token] && there:
			wrong = append(wrong, "order "+token+" was deleted and is back")
		case !l.deleted[token] && !there:
			wrong = append(wrong, "order "+token+" is lost")
		case there && got != total:
			wrong = append(wrong, fmt.Sprintf("order %s has total %s, was acknowledged as %s", token, got, total))
		}
	}
	more, err := l.checkSums(ctx, conn)
	return append(wrong, more...), err
}

func (l *Ledger) checkSums(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	var wrong []string
	for customer, want := range l.visits {
		var got int
		if err := conn.QueryRow(ctx, `SELECT visits FROM shop.customers WHERE id = $1`, customer).Scan(&got); err != nil {
			return nil, err
		}
		if got != want {
			wrong = append(wrong, fmt.Sprintf("customer %d has %d visits, %d were acknowledged", customer, got, want))
		}
	}
	var balance, audit int
	err := conn.QueryRow(ctx, `SELECT (SELECT sum(balance)::bigint FROM shop.customers),
		(SELECT count(*) FROM shop.audit_log WHERE what = 'tick')`).Scan(&balance, &audit)
	if err != nil {
		return nil, err
	}
	if balance != 20000*1000 {
		wrong = append(wrong, fmt.Sprintf("the balances add up to %d, not %d", balance, 20000*1000))
	}
	if audit != l.audit {
		wrong = append(wrong, fmt.Sprintf("the log has %d entries, %d were acknowledged", audit, l.audit))
	}
	return wrong, nil
}
