package testcontainers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// PgBouncerOptions of a PgBouncer of one's own.
type PgBouncerOptions struct {
	// Databases are the pools, as name → DSN of where each leads (URL or
	// keyword/value). Host, port and database name of the DSN are used; clients
	// keep the role they log in with. The name * stands for all others.
	Databases map[string]string
	// Users are roles that may log in besides postgres and pgbouncer, as name →
	// password. PgBouncer uses the password towards the server too.
	Users map[string]string
	// Settings override or add to the section [pgbouncer]: pool_mode, by default
	// transaction; auth_type, by default trust (scram-sha-256 works as well);
	// max_prepared_statements, by default 200 where the version knows it (1.21).
	Settings map[string]string
	// Log gets a line per start, stop and repeated try. Empty: discarded.
	Log *slog.Logger
}

// PgBouncer is a running PgBouncer that belongs to this process. Its folder
// holds the configuration, users, pid file and log, all of the account that it
// runs as.
type PgBouncer struct {
	child
	program string
	port    int
	users   map[string]string
	logger  *slog.Logger
}

// The role of [PgBouncer.AdminDSN], and what every role's password is unless
// Users says otherwise: asked for only where auth_type is not trust.
const (
	bouncerAdmin    = "pgbouncer"
	bouncerPassword = "secret"
	bouncerPidFile  = "pgbouncer.pid"
)

// StartPgBouncer starts the installed PgBouncer in front of databases, on
// loopback, and waits until it answers. The caller stops it; a caller that
// cannot (killed) has it stopped by the system.
func StartPgBouncer(ctx context.Context, o PgBouncerOptions) (*PgBouncer, error) {
	log := cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	b, err := onFreePort(log, func() (*PgBouncer, error) { return startBouncer(ctx, o, log) })
	if err != nil {
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	log.Info("pgbouncer started", "port", b.port)
	return b, nil
}

func startBouncer(ctx context.Context, o PgBouncerOptions, log *slog.Logger) (*PgBouncer, error) {
	program, err := bouncerProgram()
	if err != nil {
		return nil, err
	}
	dir, err := newFolder()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	b := &PgBouncer{child: child{dir: dir}, program: program, port: port, users: o.users(), logger: log}
	if err := b.configure(ctx, o); err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	if err := b.up(ctx); err != nil {
		return nil, errors.Join(err, b.Stop(ctx))
	}
	return b, nil
}

// bouncerProgram is PgBouncer's path: Debian keeps it where users' PATH does
// not lead.
func bouncerProgram() (string, error) {
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		return path, nil
	}
	const debian = "/usr/sbin/pgbouncer"
	if executable(debian) {
		return debian, nil
	}
	return "", fmt.Errorf("PgBouncer is not installed (looked in PATH and for %s); type: testcontainers/install-pgbouncer", debian)
}

// start: SIGKILL, for the meaning of PgBouncer's other signals changed between
// its versions, and it has nothing to put in order.
func (b *PgBouncer) start(context.Context) error {
	// A killed one's file may by now tell the id of another process, and
	// PgBouncer would take that for itself.
	if err := os.Remove(filepath.Join(b.dir.path, bouncerPidFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return b.run(syscall.SIGKILL, b.program, b.ConfigPath())
}

func (b *PgBouncer) up(ctx context.Context) error {
	return bringUp(ctx, b, func(ctx context.Context) error { return ping(ctx, b.AdminDSN()) })
}

// DSN is a libpq URL for a pool, as role postgres.
func (b *PgBouncer) DSN(database string) string { return b.DSNAs(superuser, database) }

// DSNAs is a libpq URL for a pool, as one of the roles that may log in.
func (b *PgBouncer) DSNAs(role, database string) string {
	return dsn(url.UserPassword(role, b.users[role]), b.Addr(), database)
}

// AdminDSN is a libpq URL for the admin console, which knows the simple
// protocol only (pgx.QueryExecModeSimpleProtocol).
func (b *PgBouncer) AdminDSN() string { return b.DSNAs(bouncerAdmin, "pgbouncer") }

// Addr is host:port, to be put behind a [Proxy].
func (b *PgBouncer) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)) }

// ConfigPath is the configuration file. It may be changed; RELOAD on the admin
// console or Restart reads it again.
func (b *PgBouncer) ConfigPath() string { return filepath.Join(b.dir.path, "pgbouncer.ini") }

// Log returns the end of its log, for messages of failed tests. A restart
// begins the log anew.
func (b *PgBouncer) Log() string { return b.output() }

// Kill ends it with SIGKILL: clients and server sessions are broken off, as
// when its machine dies. Restart brings it back.
func (b *PgBouncer) Kill(ctx context.Context) error {
	b.logger.Info("pgbouncer killed", "port", b.port)
	return b.kill(ctx)
}

// Restart kills it, if it runs, and starts it again on the same port with the
// configuration file as it is now. A PAUSE is forgotten by that.
func (b *PgBouncer) Restart(ctx context.Context) error {
	if err := b.kill(ctx); err != nil {
		return err
	}
	if err := b.up(ctx); err != nil {
		return fmt.Errorf("restart PgBouncer: %w", err)
	}
	return nil
}

// Stop kills it and removes its folder. A second Stop does nothing.
func (b *PgBouncer) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	err := b.kill(ctx)
	b.logger.Info("pgbouncer stopped", "port", b.port)
	return errors.Join(err, b.remove(ctx))
}
