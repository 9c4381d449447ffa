package rehearsal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/rehearsal/workload"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// Databases of a rehearsal.
const (
	production = "production"
	upgraded   = "upgraded"  // the shadow's, where it is on another server
	pristine   = "structure" // production's, without rows
	inPlace    = "in_place"  // where the migrations run the ordinary way
	fence      = "fence"     // the rows at the fence, in production's structure
	again      = "again"     // the same on rows in another order: what differs cannot be compared
)

// servers are those of a rehearsal: production's, and where the plan file leads to
// another one the shadow's, with a PgBouncer before both if the plan file has one.
type servers struct {
	production *testcontainers.Server
	shadow     *testcontainers.Server // nil: in production's database
	pool       *testcontainers.PgBouncer

	stopping sync.Mutex
}

// NoServerError says that no disposable server could be started. The caller shows
// it and exits 2.
type NoServerError struct{ cause error }

func (e *NoServerError) Error() string {
	return "a rehearsal needs a disposable server: " + e.cause.Error()
}

func (e *NoServerError) Unwrap() error { return e.cause }

// start starts the servers; their databases go with them, and they with the context:
// a migration that runs in place heeds none, but ends with its server.
func (r *rehearsal) start(ctx context.Context) error {
	if err := r.startServers(ctx); err != nil {
		return err
	}
	r.unbound = context.AfterFunc(ctx, func() { _ = r.servers.stop(ctx) }) // Run stops them again, and hears of what is wrong
	return nil
}

func (r *rehearsal) startServers(ctx context.Context) (err error) {
	if err := room(leastRoom, "a rehearsal"); err != nil {
		return err
	}
	if r.servers.production, r.result.Server, err = startServer(ctx, r.o.Major); err != nil || !r.remote() {
		return err
	}
	if r.servers.shadow, r.result.ShadowServer, err = startServer(ctx, r.o.shadowMajor()); err != nil {
		return err
	}
	if from, to := leading(r.result.Server), leading(r.result.ShadowServer); from > to {
		return unfit(fmt.Sprintf("production's server is PostgreSQL %d, the shadow's is %d", from, to),
			fmt.Errorf("an upgrade leads to the same version or a newer one: --server-version %d,%d", to, from))
	}
	return r.startPool(ctx)
}

func startServer(ctx context.Context, major int) (s *testcontainers.Server, version string, err error) {
	if s, err = testcontainers.Start(ctx, testcontainers.Options{Major: major}); err != nil {
		if full := room(leastRoom, "a server, which did not start,"); full != nil {
			return nil, "", full // somebody else has filled the disk meanwhile
		}
		return nil, "", &NoServerError{err}
	}
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return s, "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, "SHOW server_version").Scan(&version)
	return s, version, err
}

// startPool starts a PgBouncer where the plan file has one. Without it clients go
// over by themselves, when the old server refuses their writes.
func (r *rehearsal) startPool(ctx context.Context) (err error) {
	if len(r.given.Traffic.PgBouncer) == 0 {
		r.result.Traffic.Redirected = ByThemselves
		return nil
	}
	wanted := strconv.Itoa(2*r.given.Rehearse.Clients + 20)
	r.servers.pool, err = testcontainers.StartPgBouncer(ctx, testcontainers.PgBouncerOptions{
		Databases: map[string]string{production: r.servers.production.DSN(production)},
		Settings:  map[string]string{"default_pool_size": wanted, "max_client_conn": wanted},
	})
	if err != nil {
		r.result.Traffic.Redirected = ByThemselves
		r.result.Notes = append(r.result.Notes, "clients went to the new server by themselves, since no PgBouncer could be started: "+oneCause(err))
		return nil
	}
	r.result.Traffic.Redirected = ByPgBouncer
	return nil
}

// Who leads clients to another server: [Traffic.Redirected].
const (
	ByPgBouncer  = "PgBouncer"
	ByThemselves = "clients"
)

// stop ends all of them at once. Another stop finds nothing to do.
func (s *servers) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	s.stopping.Lock()
	defer s.stopping.Unlock()
	var all []error
	if s.pool != nil {
		all = append(all, s.pool.Stop(ctx))
	}
	for _, one := range []*testcontainers.Server{s.shadow, s.production} {
		if one != nil {
			all = append(all, one.Discard(ctx))
		}
	}
	return errors.Join(all...)
}

// ofTwins is the server of the databases in which the migrations run in place: that
// of the upgraded one, whose version spells structures as it does.
func (s *servers) ofTwins() *testcontainers.Server {
	if s.shadow != nil {
		return s.shadow
	}
	return s.production
}

// remote reports whether the shadow is on another server.
func (r *rehearsal) remote() bool { return r.given.Shadow.DSN != "" }

// upgradedDSN is where the data are after the cutover.
func (r *rehearsal) upgradedDSN() string {
	if r.remote() {
		return r.servers.shadow.DSN(upgraded)
	}
	return r.file.Production.DSN
}

// prepareShadow makes the shadow's database and the cluster's roles, as an operator
// does beforehand.
func (r *rehearsal) prepareShadow(ctx context.Context) error {
	if err := database(ctx, r.servers.shadow.DSN("postgres"), upgraded, "template0"); err != nil {
		return err
	}
	r.file.Shadow.DSN = r.servers.shadow.DSN(upgraded)
	if pool := r.servers.pool; pool != nil {
		r.file.Traffic.PgBouncer = []planfile.PgBouncerFile{{AdminDSN: pool.AdminDSN(), Database: production, Config: pool.ConfigPath()}}
	}
	return r.carryRoles(ctx)
}

// carryRoles makes production's roles on the shadow's server.
func (r *rehearsal) carryRoles(ctx context.Context) error {
	roles, err := r.program(ctx, "the roles", nil, "pg_dumpall", "--roles-only", "-d", r.servers.production.DSN("postgres"))
	if err != nil {
		return err
	}
	// The superuser is there already, and psql goes on after that.
	_, err = r.program(ctx, "the roles", bytes.NewReader(roles), "psql", "-X", "-q", "-d", r.servers.shadow.DSN("postgres"), "-f", "-")
	return err
}

// bin is one of PostgreSQL's programs, of the newest server that is asked for if
// it has them: those of an older one refuse it.
func (r *rehearsal) bin(name string) (string, error) {
	dir, err := testcontainers.BinDirOf(max(r.o.Major, r.o.shadowMajor()))
	if err == nil {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return testcontainers.Bin(name)
}

// withClients are the clients, with the ways that they have.
func (r *rehearsal) withClients() *workload.Clients {
	c := &workload.Clients{Databases: []string{r.file.Production.DSN}, Schemas: r.file.Production.Schemas, Number: r.file.Rehearse.Clients,
		Recycled: r.file.Cutover.RecycleSessions == "idle"}
	if r.remote() {
		c.Databases = append(c.Databases, r.upgradedDSN())
	}
	if r.servers.pool != nil {
		c.Pool = r.servers.pool.DSN(production)
	}
	return c
}

// pristineForTwins makes production's structure without rows on the server of the
// twins, where that is another one.
func (r *rehearsal) pristineForTwins(ctx context.Context) error {
	if !r.remote() {
		return nil
	}
	target := r.servers.ofTwins()
	if err := database(ctx, target.DSN("postgres"), pristine, "template0"); err != nil {
		return err
	}
	return Oracle{Bin: r.bin}.Copy(ctx, r.servers.production.DSN(pristine), target.DSN(pristine))
}

// setting is one that a database's sessions begin with.
type setting struct{ name, value string }

// lists are settings whose values are kept as SQL already.
var lists = []string{"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"}

func (s setting) sql(database string) string {
	value := s.value
	if !slices.Contains(lists, s.name) {
		value = pg.Literal(value)
	}
	return "ALTER DATABASE " + pg.Ident(database) + " SET " + s.name + " = " + value
}

// settingsOf are those of a database, which one that is made from it has not.
func settingsOf(ctx context.Context, dsn string) (all []setting, err error) {
	err = Oracle{}.reading(ctx, dsn, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT split_part(c, '=', 1), substr(c, strpos(c, '=') + 1) FROM pg_db_role_setting s, unnest(s.setconfig) c
			WHERE s.setrole = 0 AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		if err != nil {
			return err
		}
		var s setting
		_, err = pgx.ForEachRow(rows, []any{&s.name, &s.value}, func() error {
			all = append(all, s)
			return nil
		})
		return err
	})
	return all, err
}
