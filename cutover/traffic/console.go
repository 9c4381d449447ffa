package traffic

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// console is a session on PgBouncer's admin console, which knows the simple
// protocol alone and no startup parameter but application_name.
type console struct {
	conn *pgconn.PgConn
	name string // of this session, in SHOW CLIENTS
}

// row is one row of a SHOW, by column: which there are depends on the version.
type row map[string]string

var errHungUp = errors.New("this session is over")

// consoleConfig is a DSN's configuration as the console takes it: its first
// host, database pgbouncer.
func consoleConfig(dsn string) (*pgconn.Config, error) {
	c, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the connection string: %w", err)
	}
	c.Database = "pgbouncer"
	c.ValidateConnect, c.AfterConnect = nil, nil
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	var same []*pgconn.FallbackConfig // with and without TLS
	for _, f := range c.Fallbacks {
		if f.Host == c.Host && f.Port == c.Port {
			same = append(same, f)
		}
	}
	c.Fallbacks = same
	return c, nil
}

// dial opens a session. pgconn follows a broken session by a cancel request,
// which on this console would end a PAUSE or a SHUTDOWN of somebody else's: so
// nothing dials once the session stands.
func dial(ctx context.Context, dsn string) (*console, error) {
	c, err := consoleConfig(dsn)
	if err != nil {
		return nil, err
	}
	name := "pgumbra/traffic " + rand.Text()[:10]
	c.RuntimeParams = map[string]string{"application_name": name}
	var stands atomic.Bool
	open := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if stands.Load() {
			return nil, errHungUp
		}
		return open(ctx, network, address)
	}
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err // names host, user and database, never the password
	}
	stands.Store(true)
	return &console{conn: conn, name: name}, nil
}

func (c *console) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.conn.Close(ctx) // nothing is open in it
}

// do sends one command. An answer to another command is an error: after a
// WAIT_CLOSE, PgBouncer 1.18 (and later ones, too) answers every PAUSE at once,
// with WAIT_CLOSE, while transactions go on.
func (c *console) do(ctx context.Context, command, tag string) error {
	got, err := c.send(ctx, command)
	if err == nil && got != tag {
		err = &wrongAnswer{got}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

type wrongAnswer struct{ tag string }

func (e *wrongAnswer) Error() string { return "PgBouncer answered " + e.tag }

func (c *console) send(ctx context.Context, command string) (tag string, err error) {
	results, err := c.conn.Exec(ctx, command).ReadAll()
	if err != nil || len(results) == 0 {
		return "", err
	}
	return results[0].CommandTag.String(), nil
}

// show runs SHOW and gives its rows.
func (c *console) show(ctx context.Context, what string) ([]row, error) {
	results, err := c.conn.Exec(ctx, "SHOW "+what).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("SHOW %s: %w", what, err)
	}
	var rows []row
	for _, result := range results {
		for _, values := range result.Rows {
			r := row{}
			for i, field := range result.FieldDescriptions {
				r[field.Name] = string(values[i])
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// settings are what is in force, by name.
func (c *console) settings(ctx context.Context) (map[string]string, error) {
	rows, err := c.show(ctx, "CONFIG")
	settings := map[string]string{}
	for _, r := range rows {
		settings[r["key"]] = r["value"]
	}
	return settings, err
}

// reloadedAs fails if a RELOAD changed settings: either somebody's edits came
// into force with ours, or PgBouncer stopped in the middle of a bad file and
// the rest is at its defaults, session pooling among them.
func reloadedAs(before, after map[string]string) error {
	var changed []string
	for name, value := range after {
		if before[name] != value {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	slices.Sort(changed)
	return fmt.Errorf("RELOAD changed %s too: edits that had not been loaded before, or a file that PgBouncer could not load to its end (its log tells)",
		strings.Join(changed, ", "))
}
