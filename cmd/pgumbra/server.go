package main

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// refusedConnection: a server answered, and let nobody in: there is no such database, role
// or password.
func refusedConnection(err error) bool {
	return errors.As(err, new(*pgconn.ConnectError))
}

// nextOfUnreachable is what to type where a server cannot be reached, or lets nobody in: the
// key that leads there may be wrong. Without production status fails, too.
func (a *app) nextOfUnreachable(err error) string {
	p, key := a.planFlag(), a.keyOf(err)
	then := "pgumbra status" + p + ", once the server answers"
	if !pg.Unreachable(err) {
		then = "do what is said above, then the same command again"
	}
	if key == "" {
		return "correct the DSN, should it lead elsewhere (the plan file, its variable, --set); else " + then
	}
	return fmt.Sprintf("correct %s, should it lead elsewhere (the plan file, %s, --set); else %s", key, planfile.Env(key), then)
}

// keyOf is the key of the plan file whose connection failed; empty: not known.
func (a *app) keyOf(err error) string {
	var failed *pgconn.ConnectError
	if a.file == nil || !errors.As(err, &failed) || failed.Config == nil {
		return ""
	}
	for _, alike := range []func(a, b *pgconn.Config) bool{sameDatabase, sameServer} { // a throw-away database has a name of its own
		for _, file := range databases(a.file) {
			if key := keyIn(file, failed.Config, alike); key != "" {
				return key
			}
		}
	}
	return ""
}

func keyIn(file *planfile.File, failed *pgconn.Config, alike func(a, b *pgconn.Config) bool) string {
	keys := []struct{ key, dsn string }{{"production.dsn", file.Production.DSN}, {"shadow.dsn", file.Shadow.DSN}, {"scratch.dsn", file.Scratch.DSN}}
	for _, b := range file.Traffic.PgBouncer {
		keys = append(keys, struct{ key, dsn string }{"traffic.pgbouncer.admin_dsn", b.AdminDSN})
	}
	for i, k := range keys {
		if i > 0 && k.dsn == "" { // production's may come from PGHOST and the like
			continue
		}
		if c, err := pgconn.ParseConfig(k.dsn); err == nil && alike(c, failed) {
			return k.key
		}
	}
	return ""
}

func sameServer(a, b *pgconn.Config) bool { return a.Host == b.Host && a.Port == b.Port }

func sameDatabase(a, b *pgconn.Config) bool {
	return sameServer(a, b) && a.Database == b.Database && a.User == b.User
}
