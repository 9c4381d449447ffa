package pg

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Whether a session is ours decides whose writes pass a gate and whose changes
// the way back leaves out. application_name does not tell: any client may set
// it, by chance or by will. So each process thinks of a word of its own, its
// sessions start with it, and a server is told the hash alone. The word is in
// no statement, which pg_stat_activity would show, and in no table, which
// members of pg_read_all_data may read: it goes with the startup message, and
// only the session itself can read it back.

// SessionSetting holds the word in a session of ours.
const SessionSetting = "pgumbra.session"

var word = hex.EncodeToString(random())

func random() []byte {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return b
}

// Sign lets sessions that are opened with a configuration be known as this
// process's. Not for sessions in which code of others runs: it could read the
// word.
func Sign(c *pgconn.Config) { c.RuntimeParams[SessionSetting] = word }

// SessionDigest is the SHA-256 of the word, in hexadecimal digits.
func SessionDigest() string {
	sum := sha256.Sum256([]byte(word))
	return hex.EncodeToString(sum[:])
}

// Backend is a session as its server knows it. The pid alone is given again:
// after the restart of a container to just those who reconnect first.
type Backend struct {
	PID     int32
	Started time.Time
}

// Self is the session that answers.
func Self(ctx context.Context, db Querier) (Backend, error) {
	var b Backend
	err := db.QueryRow(ctx, `SELECT pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()`).Scan(&b.PID, &b.Started)
	if err != nil {
		return b, fmt.Errorf("ask the session who it is: %w", err)
	}
	return b, nil
}

// Backends are some sessions of one server.
type Backends []Backend

// Columns are the pids and the moments of the starts, as parameters of a query
// that unnests both.
func (b Backends) Columns() (pids []int32, started []time.Time) {
	pids, started = make([]int32, len(b)), make([]time.Time, len(b))
	for i := range b {
		pids[i], started[i] = b[i].PID, b[i].Started
	}
	return pids, started
}

// Register knows which sessions of this process are open at one server. The zero value
// knows none; for several goroutines.
type Register struct {
	mu   sync.Mutex
	open map[uint32]Backend // by pid
}

// Opened takes a session in.
func (r *Register) Opened(ctx context.Context, conn *pgx.Conn) error {
	b, err := Self(ctx, conn)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = map[uint32]Backend{}
	}
	r.open[conn.PgConn().PID()] = b
	return nil
}

// Closed forgets one, which may never have been taken in.
func (r *Register) Closed(conn *pgx.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, conn.PgConn().PID())
}

// Backends are those that are open now.
func (r *Register) Backends() Backends {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.open))
}
