package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/control"
)

// client is one session.
type client struct {
	fleet     *fleet
	id        int
	mode      pgx.QueryExecMode
	isolation pgx.TxIsoLevel
	random    *rand.Rand
	n         int
}

func (c *client) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(c.fleet.w.clients)
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = c.mode
	if c.fleet.pooled() && c.mode != pgx.QueryExecModeSimpleProtocol { // a pool of transactions keeps no statements
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		c.fleet.mu.Lock()
		c.fleet.pids[conn.PgConn().PID()] = true
		c.fleet.mu.Unlock()
	}
	return conn, err
}

func (c *client) work(ctx context.Context) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for ; !c.fleet.halted() && ctx.Err() == nil; c.n++ {
		if err := c.transaction(ctx, conn); err != nil {
			return c.fatal(err)
		}
		time.Sleep(time.Duration(c.random.IntN(40)) * time.Millisecond) // users think
	}
	return nil
}

func (c *client) fatal(err error) error {
	c.fleet.mu.Lock()
	defer c.fleet.mu.Unlock()
	c.fleet.errors["fatal"]++
	return fmt.Errorf("client %d, number %d (%s, %s): %w", c.id, c.n, c.mode, c.isolation, err)
}

var errOnPurpose = errors.New("rolled back on purpose")

// transaction does some steps and one entry in the ledger, or rolls back.
func (c *client) transaction(ctx context.Context, conn *pgx.Conn) error {
	account, delta := 1+c.random.IntN(400), c.random.Int64N(1000)
	todo := []step{}
	for range c.random.IntN(5) {
		todo = append(todo, randomStep(c.random, c.fleet.merge))
	}
	todo = append(todo, c.entry(account, delta))
	rollback := c.random.IntN(7) == 0
	err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: c.isolation}, func(tx pgx.Tx) error {
		if err := steps(todo...)(ctx, tx); err != nil {
			return err
		}
		if rollback {
			return errOnPurpose
		}
		return nil
	})
	switch {
	case err == nil:
		c.acknowledged(delta)
		return nil
	case errors.Is(err, errOnPurpose) || c.earned(err):
		return nil
	}
	return err
}

func (c *client) entry(account int, delta int64) step {
	return func(ctx context.Context, tx pgx.Tx) error {
		var before, after int64
		if err := tx.QueryRow(ctx, `SELECT balance FROM shop.account WHERE id = $1::int FOR UPDATE`, account).Scan(&before); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE shop.account SET balance = balance + $2::bigint WHERE id = $1::int`, account, delta); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO shop.entry (account, delta, client, n) VALUES ($1::int, $2::bigint, $3::int, $4::int)`, account, delta, c.id, c.n)
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT balance FROM shop.account WHERE id = $1::int`, account).Scan(&after); err != nil {
			return err
		}
		if after != before+delta {
			return fmt.Errorf("account %d: %d, then %d + %d", account, after, before, delta)
		}
		return nil
	}
}

func (c *client) acknowledged(delta int64) {
	c.fleet.mu.Lock()
	defer c.fleet.mu.Unlock()
	c.fleet.acked[[2]int{c.id, c.n}] = delta
	c.fleet.commits.Add(1)
}

func state(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

var process = regexp.MustCompile(`[Pp]rocess (\d+)`)

// earned reports whether an error is one that the client's own statements, or
// those of other clients, make without any upgrade.
func (c *client) earned(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	c.fleet.mu.Lock()
	defer c.fleet.mu.Unlock()
	c.fleet.errors[string(c.isolation)+" "+e.Code]++
	switch e.Code {
	case "55P03":
		return c.id == coarseClient
	case "23505", "23503", "23P01", "27000", "21000": // unique, foreign key, exclusion; a row the command's own trigger changed; MERGE or upsert of a row twice
		return true
	case "40P01":
		return c.isolation != pgx.ReadCommitted || c.fleet.pooled() || c.amongClients(e)
	case "40001":
		return c.isolation != pgx.ReadCommitted || e.Message == "tuple to be locked was already moved to another partition due to concurrent update" ||
			e.Message == "tuple to be updated was already moved to another partition due to concurrent update"
	}
	return false
}

// amongClients: only clients were in the deadlock, not the upgrade.
func (c *client) amongClients(e *pgconn.PgError) bool {
	found := process.FindAllStringSubmatch(e.Detail, -1)
	return len(found) > 0 && !slices.ContainsFunc(found, func(m []string) bool {
		pid, _ := strconv.ParseUint(m[1], 10, 32)
		return !c.fleet.pids[uint32(pid)]
	})
}

// longTransaction is open from before the first trigger until every table
// follows, and writes while tables are copied.
func (c *client) longTransaction(ctx context.Context) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_current_xact_id()`); err != nil {
			return err
		}
		c.await(ctx, control.Copying)
		account, delta := 1, int64(1)
		write := steps(sql(`INSERT INTO shop.item (id, name, price) VALUES ($1::int, 'long', 4)`, 900_001), sql(`UPDATE shop.wide SET doc = '"long"' WHERE id = $1::int`, 199),
			sql(`INSERT INTO shop.log (what, n) VALUES ('long', $1::int)`, 900_001), sql(`INSERT INTO shop.part (region, id, v) VALUES ('long', $1::int, 1)`, 900_001), c.entry(account, delta))
		if err := write(ctx, tx); err != nil {
			return err
		}
		c.await(ctx, control.Following)
		return nil
	})
	if err == nil {
		c.acknowledged(1)
	}
	if err == nil || c.earned(err) {
		return nil
	}
	return c.fatal(err)
}

// await polls until the run is in a phase or past it; the traffic's end ends
// it too.
func (c *client) await(ctx context.Context, phase control.Phase) {
	order := []control.Phase{control.Building, control.Capturing, control.Copying, control.Following, control.Cutover, control.Watching}
	for !c.fleet.halted() && ctx.Err() == nil {
		var now control.Phase
		err := one(c.fleet.w.production, `SELECT phase FROM pgumbra.run`, &now)
		if err == nil && slices.Index(order, now) >= slices.Index(order, phase) {
			return
		}
		select {
		case <-ctx.Done():
		case <-c.fleet.halt:
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// coarse rewrites, empties and switches the triggers of whole tables now and then.
func (c *client) coarse(ctx context.Context) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// Or it waits for the long transaction, and the copy, for which that one
	// waits, behind it.
	if _, err := conn.Exec(ctx, "SET lock_timeout = '100ms'"); err != nil {
		return err
	}
	for ; !c.fleet.halted() && ctx.Err() == nil; c.n++ {
		todo := coarse(c.random)
		if c.n == 4 || c.n == 20 {
			todo = unseen
		}
		for _, statement := range todo {
			if _, err := conn.Exec(ctx, statement); err != nil && !c.earned(err) {
				return c.fatal(fmt.Errorf("%s: %w", statement, err))
			} else if err != nil {
				_, _ = conn.Exec(ctx, "ROLLBACK")
				for state(err) == "55P03" && statement == "ALTER TABLE shop.wide ENABLE TRIGGER ALL" {
					_, err = conn.Exec(ctx, statement)
				}
				break
			}
		}
		select {
		case <-c.fleet.halt:
		case <-time.After(time.Duration(100+c.random.IntN(300)) * time.Millisecond):
		}
	}
	return nil
}
