// Package pg is the thin layer between pgumbra and pgx: connecting with pinned
// settings, quoting names, telling errors apart, transactions that name their
// isolation level. It knows nothing of runs, plans or shadows.
package pg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Settings that each session of ours starts with, so that defaults of the role
// or the database never reach us: text formats that hashes and boundaries
// depend on, no row security (it would hide rows from copy and verification
// alike), no timeouts but those a statement sets for itself, and an early end
// for backends whose client died.
var pinned = map[string]string{
	"DateStyle":                        "ISO, YMD",
	"IntervalStyle":                    "postgres",
	"TimeZone":                         "UTC",
	"extra_float_digits":               "3",
	"bytea_output":                     "hex",
	"xmlbinary":                        "base64",
	"client_encoding":                  "UTF8",
	"standard_conforming_strings":      "on",
	"row_security":                     "off",
	"search_path":                      "pg_catalog",
	"default_transaction_isolation":    "read committed",
	"default_transaction_read_only":    "off",
	"default_transaction_deferrable":   "off",
	"client_connection_check_interval": "1s",
	"check_function_bodies":            "off",
	"xmloption":                        "content",
	"default_tablespace":               "",
	"default_table_access_method":      "heap",
	"synchronous_commit":               "on",
	"jit":                              "off",
}

// Pinned is what each session of ours has for a setting, if it is pinned.
func Pinned(setting string) (string, bool) {
	value, ok := pinned[setting]
	return value, ok
}

// PinnedNames are the settings that each session of ours starts with.
func PinnedNames() []string { return slices.Sorted(maps.Keys(pinned)) }

// Options of a connection beyond its DSN.
type Options struct {
	// Component becomes application_name "pgumbra/<component>".
	Component string
	// SearchPath, where transforms of the user's are evaluated: production's
	// own. Empty: pg_catalog only.
	SearchPath string
	// Settings override the pinned ones.
	Settings map[string]string
}

// Set lays settings over those that a connection starts with. A connection string, or PGTZ,
// may spell a name otherwise (timezone): the server is sent both then, in any order, and
// takes the last.
func Set(params, settings map[string]string) {
	maps.DeleteFunc(params, func(there, _ string) bool {
		for name := range settings {
			if strings.EqualFold(there, name) {
				return true
			}
		}
		return false
	})
	maps.Copy(params, settings)
}

func (o Options) apply(c *pgconn.Config) {
	Set(c.RuntimeParams, pinned)
	noTimeouts(c)
	wantPrimary(c)
	if o.SearchPath != "" {
		c.RuntimeParams["search_path"] = o.SearchPath
	}
	Set(c.RuntimeParams, o.Settings)
	c.RuntimeParams["application_name"] = "pgumbra/" + o.Component
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
}

// noTimeouts keeps the role's and the database's own limits from ending a session.
// transaction_timeout cannot come with the others: before PostgreSQL 17 no session
// would start.
func noTimeouts(c *pgconn.Config) {
	none := map[string]string{}
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"} {
		none[name] = "0"
	}
	Set(c.RuntimeParams, none)
	before := c.AfterConnect
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if before != nil {
			if err := before(ctx, conn); err != nil {
				return err
			}
		}
		if major, _, _ := strings.Cut(conn.ParameterStatus("server_version"), "."); len(major) != 2 || major < "17" {
			return nil
		}
		return conn.Exec(ctx, "SET transaction_timeout = 0").Close()
	}
}

// ClientConfig is a connection with what role, database and connection string
// set, as a client of production's has it, and nothing of ours but UTF-8 as
// golang-migrate's driver for postgres:// has it, and time without limits.
func ClientConfig(dsn, component string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the connection string: %w", err)
	}
	Set(c.RuntimeParams, map[string]string{"application_name": "pgumbra/" + component, "client_encoding": "UTF8"})
	noTimeouts(&c.Config)
	wantPrimary(&c.Config)
	return c, nil
}

// Config parses a DSN (libpq URL or keyword/value; PG* variables and .pgpass
// apply) and lays the pinned settings over it.
func Config(dsn string, o Options) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the connection string: %w", err)
	}
	o.apply(&c.Config)
	return c, nil
}

// Connect opens one session.
func Connect(ctx context.Context, dsn string, o Options) (*pgx.Conn, error) {
	c, err := Config(dsn, o)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, explain(err) // pgx names host, user and database, never the password
	}
	return conn, nil
}

// ConnectAsClient opens a session that is not pinned: what role, database and
// connection string set, and nothing of ours.
func ConnectAsClient(ctx context.Context, dsn, component string) (*pgx.Conn, error) {
	c, err := ClientConfig(dsn, component)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, explain(err)
	}
	return conn, nil
}

// explain says what a refusal means: by PgBouncer, which knows few of the settings
// that our sessions start with, or by a server that finds no room for the file of
// its catalogs' cache, which a session writes that begins without one.
func explain(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && strings.HasPrefix(e.Message, "unsupported startup parameter") {
		return fmt.Errorf("a connection pool answers, and pgumbra needs PostgreSQL itself: %w", err)
	}
	if e != nil && e.Code == pgerrcode.InternalError { // could not write init file
		return fmt.Errorf("the server cannot begin a session, as happens on a disk without any room; free some of it, a megabyte will do: %w", err)
	}
	return err
}

// NewPool opens a pool of at most limit sessions, which are known as ours (see
// [Sign]) and as this process's (see [Watch]), and checks that one connects.
func NewPool(ctx context.Context, dsn string, limit int, o Options) (*pgxpool.Pool, error) {
	return NewPoolWith(ctx, dsn, limit, o, func(*pgxpool.Config) {})
}

// NewPoolWith is [NewPool] with a last word on the configuration.
func NewPoolWith(ctx context.Context, dsn string, limit int, o Options, configure func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the connection string: %w", err)
	}
	o.apply(&c.ConnConfig.Config)
	Sign(&c.ConnConfig.Config)
	c.MaxConns = int32(limit)
	configure(c)
	first := c.AfterConnect
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if err := marked(ctx, conn); err != nil || first == nil {
			return err
		}
		return first(ctx, conn)
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, explain(err)
	}
	return pool, nil
}

// Querier is what a connection, a pool and a transaction have in common.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Beginner starts transactions: a connection or a pool.
type Beginner interface {
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
}

// ReadCommitted runs f in a READ COMMITTED transaction and commits if f
// returns nil.
func ReadCommitted(ctx context.Context, db Beginner, f func(pgx.Tx) error) error {
	return inTx(ctx, db, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}, f)
}

// RepeatableRead runs f in a REPEATABLE READ transaction: one snapshot from
// f's first query on. Commits if f returns nil. Not repeated on 40001: the
// caller knows what may run twice.
func RepeatableRead(ctx context.Context, db Beginner, f func(pgx.Tx) error) error {
	return inTx(ctx, db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadWrite}, f)
}

func inTx(ctx context.Context, db Beginner, o pgx.TxOptions, f func(pgx.Tx) error) (err error) {
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil {
			cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_ = tx.Rollback(cleanup)
		}
	}()
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// ExecScript runs a text of several statements by the simple protocol: outside
// a transaction it is one implicit transaction.
func ExecScript(ctx context.Context, conn *pgx.Conn, script string) error {
	return conn.PgConn().Exec(ctx, script).Close()
}

// State is the SQLSTATE in an error's chain, or "": one of package pgerrcode's. Some
// say more than their name: OutOfMemory comes of a full lock table too, CheckViolation
// of a row that no partition takes, ObjectNotInPrerequisiteState of a standby that was
// asked what only a primary can tell.
func State(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// DataError reports whether an SQLSTATE says that a value is at fault (division by zero,
// a bad cast, RAISE), not the statement.
func DataError(state string) bool {
	return strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23") || state == pgerrcode.RaiseException
}

// Unreachable reports whether an error says nothing of the statement's fate:
// the connection broke, or the server shut down under it. The caller must look
// at the server, never guess. A host that answers nothing, as one that is gone does,
// lets a connection wait until its time is over. A PANIC, as of a disk that is too full for
// WAL, ends the whole server, with any error's code: what it answers to COMMIT may be
// committed once it has recovered.
func Unreachable(err error) bool {
	var connect *pgconn.ConnectError
	silent := errors.As(err, &connect) && errors.Is(err, context.DeadlineExceeded)
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !silent {
		return false
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return connect != nil || pgconn.Timeout(err) || isNetwork(err)
	}
	if e.SeverityUnlocalized == "PANIC" {
		return true
	}
	return e.Code[:2] == "08" || e.Code[:3] == "57P" || e.Code == pgerrcode.IdleInTransactionSessionTimeout
}
