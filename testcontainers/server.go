package testcontainers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options of a server of one's own. The zero value is what Database uses.
type Options struct {
	// BinDir is the folder of initdb and postgres. Empty: found as Bin does,
	// else Docker.
	BinDir string
	// Major asks for an installed server of this major version, found as
	// BinDirOf does, never in Docker. 0: whichever is found. BinDir and Image go before it.
	Major int
	// Image, if given, makes it a container of this image and no installed
	// binaries are looked for.
	Image string
	// Settings override or add to postgresql.conf, as name → value without
	// quotes.
	Settings map[string]string
	// Environment is added to that of an installed server's processes, as name=value.
	Environment []string
	// Log gets a line per start, stop and repeated try. Empty: discarded.
	Log *slog.Logger
}

// Settings of every server. Durability is off, since data ends with the
// process. wal_level and the limits let a server play any part: a shadow fed by
// a slot, a migration that locks a thousand tables, a forgotten prepared
// transaction.
var defaults = map[string]string{
	"fsync":                      "off",
	"full_page_writes":           "off",
	"jit":                        "off", // compiling takes longer than any statement of a test
	"max_connections":            "200",
	"max_locks_per_transaction":  "256",
	"max_prepared_transactions":  "16",
	"max_wal_size":               "4GB",
	"checkpoint_timeout":         "30min",
	"wal_level":                  "logical",
	"log_line_prefix":            "%m [%p] %q%d %a ",
	"log_timezone":               "UTC",
	"timezone":                   "UTC",
	"logging_collector":          "off",
	"log_destination":            "stderr",
	"unix_socket_permissions":    "0777",
	"dynamic_shared_memory_type": "posix",
}

func (o Options) settings() map[string]string {
	all := maps.Clone(defaults)
	maps.Copy(all, o.Settings)
	return all
}

func (o Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// Server is a running PostgreSQL server that belongs to this process.
type Server struct {
	host string
	port int
	runs runner
	log  *slog.Logger
}

// runner is what differs between a process of ours and a container.
type runner interface {
	starter
	halt(ctx context.Context) error   // fast shutdown, waits; nothing to do is fine
	quit(ctx context.Context) error   // without a checkpoint, waits; nothing to do is fine
	kill(ctx context.Context) error   // SIGKILL, waits; nothing to do is fine
	remove(ctx context.Context) error // all it has on disk
}

// errPortTaken: another process got hold of the port between its choice and
// the server's bind. Choose again.
var errPortTaken = errors.New("the port was taken by another process")

// Start makes a new cluster and starts a server on it. The caller stops it;
// a caller that cannot (killed) has it stopped by the system.
func Start(ctx context.Context, o Options) (*Server, error) {
	s, err := onFreePort(o.log(), func() (*Server, error) { return startOnce(ctx, o) })
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	o.log().Info("server started", "host", s.host, "port", s.port)
	return s, nil
}

// onFreePort starts something that chooses a port, again where another process
// was faster.
func onFreePort[T any](log *slog.Logger, start func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		started, err := start()
		if !errors.Is(err, errPortTaken) || try == 5 {
			return started, err
		}
		log.Info("port taken, trying another", "try", try)
	}
}

func startOnce(ctx context.Context, o Options) (*Server, error) {
	if o.Image != "" {
		return launch(ctx, o, newContainer)
	}
	dir, err := o.binaries()
	if errors.Is(err, errNoBinaries) {
		s, dockerErr := launch(ctx, o, newContainer)
		if dockerErr != nil {
			return nil, fmt.Errorf("%w\nDocker was tried: %w", err, dockerErr)
		}
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	return launch(ctx, o, func(ctx context.Context, o Options) (*Server, error) { return newProcess(ctx, dir, o) })
}

// launch prepares a server and brings it up; of one that does not come up
// nothing remains.
func launch(ctx context.Context, o Options, prepare func(context.Context, Options) (*Server, error)) (*Server, error) {
	s, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	s.log = o.log()
	if err := s.up(ctx); err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		return nil, errors.Join(err, s.runs.kill(cleanup), s.runs.remove(cleanup))
	}
	return s, nil
}

// up starts the prepared server and waits until it answers queries.
func (s *Server) up(ctx context.Context) error { return bringUp(ctx, s.runs, s.ping) }

// starter is the part of a runner that bringing it up takes.
type starter interface {
	start(ctx context.Context) error // returns once the program runs
	alive(ctx context.Context) bool  // whether what start started still runs
	output() string                  // the end of its log
}

// bringUp starts a program and waits until it answers.
func bringUp(ctx context.Context, program starter, ping func(context.Context) error) error {
	if err := program.start(ctx); err != nil {
		return err
	}
	// Seconds as a rule; a machine that compiles meanwhile takes far longer.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := ping(ctx)
		if err == nil {
			return nil
		}
		if !program.alive(ctx) && ctx.Err() == nil {
			return exitError(program.output())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for it to answer: %w (last: %w); its log ends:\n%s", ctx.Err(), err, program.output())
		case <-poll.C:
		}
	}
}

func (s *Server) ping(ctx context.Context) error { return ping(ctx, s.DSN("postgres")) }

func ping(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// DSN is a libpq URL for a database of the server, as superuser postgres over
// loopback TCP.
func (s *Server) DSN(database string) string {
	return dsn(url.User(superuser), s.Addr(), database)
}

// superuser of every server, and of every way to it.
const superuser = "postgres"

func dsn(user *url.Userinfo, address, database string) string {
	u := url.URL{Scheme: "postgres", User: user, Host: address, Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Addr is host:port, to be put behind a [Proxy].
func (s *Server) Addr() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// Port is the TCP port on loopback; it stays the same over Crash and Restart.
func (s *Server) Port() int { return s.port }

// Log returns the end of the server's log, for messages of failed tests.
func (s *Server) Log() string { return s.runs.output() }

// Stop ends the server by a fast shutdown (open transactions are rolled back)
// and removes its data. A server that does not end in time is killed. A second
// Stop does nothing.
func (s *Server) Stop(ctx context.Context) error {
	err := s.runs.halt(ctx)
	s.log.Info("server stopped", "port", s.port)
	return errors.Join(err, s.runs.remove(ctx))
}

// Discard ends the server at once, by an immediate shutdown, and removes its data. A
// second one does nothing.
func (s *Server) Discard(ctx context.Context) error {
	err := s.runs.quit(ctx)
	s.log.Info("server discarded", "port", s.port)
	return errors.Join(err, s.runs.remove(ctx))
}

// Crash kills the postmaster and its children with SIGKILL, as a machine that
// dies does: no checkpoint, sessions broken off. Restart brings it back
// through crash recovery. Committed transactions survive, since the kernel
// keeps what was written.
func (s *Server) Crash(ctx context.Context) error {
	s.log.Info("server killed", "port", s.port)
	return s.runs.kill(ctx)
}

// Restart starts the server again, on the same port and data, after a Crash;
// a running server goes through a fast shutdown first.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.runs.halt(ctx); err != nil {
		return err
	}
	if err := s.up(ctx); err != nil {
		return fmt.Errorf("restart PostgreSQL: %w", err)
	}
	return nil
}

// exitError tells why a program ended instead of starting.
func exitError(log string) error {
	return portError(fmt.Errorf("it ended; its log:\n%s", log), log)
}

// portError marks an error whose text tells of a port in use: the server's
// own words, or those of Docker.
func portError(err error, text string) error {
	for _, words := range []string{"could not bind", "ddress already in use", "port is already allocated"} {
		if strings.Contains(text, words) {
			return fmt.Errorf("%w: %w", errPortTaken, err)
		}
	}
	return err
}

// lastPart is enough of a log's end to explain a failure.
func lastPart(log []byte) string { return string(log[max(0, len(log)-4096):]) }
