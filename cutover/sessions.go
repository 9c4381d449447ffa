package cutover

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed sql/blocking.sql
var blockingSQL string

//go:embed sql/waits.sql
var waitsSQL string

//go:embed sql/holders.sql
var snapshotHoldersSQL string

// session is somebody else's session that is in the way.
type session struct {
	PID     int32
	User    string
	App     string
	Kind    string // backend_type
	State   string
	Age     float64 // seconds since its transaction began
	Query   string
	Began   *time.Time // of its transaction
	Exempt  bool       // waits for our own fence, or for who does
	Backup  bool       // pg_dump
	Wrapper bool       // autovacuum that must not be interrupted
}

// sessions runs a query for some. Those that list others than who blocks one backend
// (blocking.sql) or waits before the drain's (queue.sql) leave out the sessions that are
// ours, by pid and start in their last two parameters: application_name says nothing,
// since a client may set it, too.
func sessions(ctx context.Context, db pg.Querier, sql string, args ...any) ([]session, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[session])
}

func (s session) String() string {
	user := s.User
	if user == "" {
		user = s.Kind
	}
	text := fmt.Sprintf("session %d (%s", s.PID, user)
	if s.App != "" {
		text += ", " + s.App
	}
	if s.State != "" {
		text += ", " + s.State
	}
	text += fmt.Sprintf(", open for %.1f s)", s.Age)
	if q := head(s.Query); q != "" {
		text += ": " + q
	}
	return text
}

// head is a statement's beginning on one line. A statement that may hold a
// password is not shown.
func head(query string) string {
	if strings.Contains(strings.ToLower(query), "password") {
		return "(statement not shown)"
	}
	line := []rune(strings.Join(strings.Fields(query), " "))
	if len(line) > 80 {
		return string(line[:77]) + "..."
	}
	return string(line)
}

// Holder is a session that holds a lock, and what there is to say of it.
type Holder struct {
	PID  int32
	Text string
}

// Waits names whoever holds a lock that a session of pgumbra's in this database, whichever
// process has it, has waited for for longer than a moment. Takes no lock.
func Waits(ctx context.Context, db pg.Querier) (holders []Holder, err error) {
	found, err := sessions(ctx, db, waitsSQL, moment.Seconds())
	if err != nil {
		return nil, fmt.Errorf("look who holds locks: %w", err)
	}
	for _, s := range found {
		holders = append(holders, Holder{s.PID, s.String()})
	}
	return holders, nil
}

const moment = 2 * time.Second // without a word

// blockersOf names sessions; how says what they hold: a lock or a snapshot.
func blockersOf(how string, found []session) []Blocker {
	var all []Blocker
	for _, s := range found {
		b := Blocker{Code: "open-transaction", Message: s.String() + " holds a " + how + " that the swap waits for",
			Fix: fmt.Sprintf("wait for it, or end it: SELECT pg_terminate_backend(%d)", s.PID)}
		switch {
		case s.Backup:
			b.Code, b.Fix = "running-backup", "wait until the dump is done"
		case s.Wrapper:
			b.Code, b.Fix = "wraparound-vacuum", "wait until this vacuum is done: it must not be interrupted"
		}
		all = append(all, b)
	}
	return all
}

func (a *attempt) blockingSessions(ctx context.Context, mark string) ([]session, error) {
	pids, started := a.c.own().Columns()
	found, err := sessions(ctx, a.observer, snapshotHoldersSQL, mark, a.pid, pids, started)
	if err != nil {
		return nil, fmt.Errorf("look for old snapshots: %w", err)
	}
	return found, nil
}

// own are the sessions in production that are ours.
func (c *Cutover) own() pg.Backends {
	if c.Own == nil {
		return c.trying
	}
	return append(c.Own(), c.trying...)
}

// still are those of now that are not exempt and whose transaction was there
// at first.
func still(now, first []session) []session {
	type id struct {
		pid   int32
		began time.Time
	}
	of := func(s session) id {
		if s.Began == nil {
			return id{pid: s.PID}
		}
		return id{s.PID, s.Began.UTC()}
	}
	there := map[id]bool{}
	for _, s := range first {
		there[of(s)] = true
	}
	var left []session
	for _, s := range now {
		if there[of(s)] && !s.Exempt {
			left = append(left, s)
		}
	}
	return left
}
