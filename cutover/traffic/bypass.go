package traffic

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Session is one of a client that reaches production past PgBouncer.
type Session struct {
	PID         uint32
	User        string
	Application string
	Address     string // empty: by a local socket
}

// String is the session as a finding names it.
func (s Session) String() string {
	return fmt.Sprintf("%s from %s as %s (pid %d)", quote(s.Application), s.address(), s.User, s.PID)
}

func (s Session) address() string {
	if s.Address == "" {
		return "a local socket"
	}
	return s.Address
}

// Bypassing are the sessions in production's database that are neither
// PgBouncer's nor pgumbra's: nothing leads them over, and after the cutover
// production refuses their writes. db is a session there that may read others'
// (pg_read_all_stats). PgBouncer does not know the process behind a local
// socket, so where it uses one, sessions by local sockets are left out. None
// where no PgBouncer leads clients: nobody can tell then.
func (t *Traffic) Bypassing(ctx context.Context, db pg.Querier) ([]Session, error) {
	if !t.pooled() {
		return nil, nil
	}
	ours, err := t.servers(ctx)
	if err != nil {
		return nil, err
	}
	sessions, err := clientSessions(ctx, db)
	if err != nil {
		return nil, err
	}
	newer, err := t.servers(ctx) // those opened meanwhile
	if err != nil {
		return nil, err
	}
	maps.Copy(ours, newer)
	return slices.DeleteFunc(sessions, func(s Session) bool {
		return ours[s.PID] || s.Address == "" && ours[localSocket]
	}), nil
}

// Unfinished are the sessions of PgBouncers in production that have been in a
// transaction for longer than that: a [Traffic.Pause] waits for them, and all
// other clients with it. Where PgBouncer uses a local socket, it does not know
// which sessions are its own, and all by local sockets count.
func (t *Traffic) Unfinished(ctx context.Context, production pg.Querier, longer time.Duration) ([]Session, error) {
	if !t.pooled() {
		return nil, nil
	}
	pooled, err := t.servers(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := production.Query(ctx, `SELECT pid::bigint, coalesce(usename, ''), coalesce(application_name, ''), coalesce(pg_catalog.host(client_addr), '')
		FROM pg_catalog.pg_stat_activity
		WHERE datname = pg_catalog.current_database() AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
		  AND pg_catalog.clock_timestamp() - xact_start > pg_catalog.make_interval(secs => $1)
		ORDER BY xact_start`, longer.Seconds())
	if err != nil {
		return nil, fmt.Errorf("list production's transactions: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Session])
	if err != nil {
		return nil, fmt.Errorf("list production's transactions: %w", err)
	}
	return slices.DeleteFunc(all, func(s Session) bool {
		return !pooled[s.PID] && (s.Address != "" || !pooled[localSocket])
	}), nil
}

func (t *Traffic) pooled() bool {
	return slices.ContainsFunc(t.members, func(m member) bool {
		_, ok := m.(*pool)
		return ok
	})
}

// Bypasses are warnings, one for all sessions that are alike.
func Bypasses(sessions []Session) []plans.Finding {
	alike := map[string]int{}
	var all []plans.Finding
	for _, s := range sessions {
		who := fmt.Sprintf("%s from %s as %s", quote(s.Application), s.address(), s.User)
		if alike[who]++; alike[who] == 1 {
			all = append(all, plans.Finding{Level: plans.Warning, Code: "bypasses-pool", Object: who,
				Fix: "connect it through the pool, or stop it before the cutover and start it again at the new place"})
		}
	}
	for i := range all {
		all[i].Message = fmt.Sprintf("%d sessions reach production past the pool: nothing leads them over, and after the cutover production refuses their writes", alike[all[i].Object])
	}
	return all
}

// localSocket among process ids says that PgBouncer reaches production by one.
const localSocket = 0

// servers are the process ids of all PgBouncers' sessions in production.
func (t *Traffic) servers(ctx context.Context) (map[uint32]bool, error) {
	pids := map[uint32]bool{}
	for _, m := range t.members {
		if p, ok := m.(*pool); ok {
			if err := p.servers(ctx, pids); err != nil {
				return nil, err
			}
		}
	}
	return pids, nil
}

func (p *pool) servers(ctx context.Context, pids map[uint32]bool) error {
	c, err := p.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	rows, err := c.show(ctx, "SERVERS")
	if err != nil {
		return err
	}
	for _, r := range rows {
		pid, _ := strconv.ParseUint(r["remote_pid"], 10, 32)
		if r["addr"] == "unix" {
			pid = localSocket
		}
		pids[uint32(pid)] = true
	}
	return nil
}

func clientSessions(ctx context.Context, db pg.Querier) ([]Session, error) {
	rows, err := db.Query(ctx, `SELECT pid::bigint, coalesce(usename, ''), coalesce(application_name, ''), coalesce(host(client_addr), '')
		FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend'
		  AND pid <> pg_backend_pid() AND application_name NOT LIKE 'pgumbra/%'
		ORDER BY backend_start`)
	if err != nil {
		return nil, fmt.Errorf("list production's sessions: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Session])
	if err != nil {
		return nil, fmt.Errorf("list production's sessions: %w", err)
	}
	return all, nil
}
