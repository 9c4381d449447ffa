package planner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

const (
	// scratchLock is the first key of the advisory lock on a scratch database,
	// the second is its name's hash.
	scratchLock = 1885824882
	// scratchPatience is how long another plan may still need. After it, its
	// session is taken for that of a machine that is gone.
	scratchPatience = time.Minute
)

// lock keeps two processes off one scratch database, for as long as s.admin
// lives. One that was killed in CREATE DATABASE left a backend that creates it
// all the same: without the lock, whoever came next found no database, and then
// one.
func (s *scratch) lock(ctx context.Context) error {
	patience := time.NewTimer(scratchPatience)
	defer patience.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		var got bool
		err := s.admin.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, hashtext($2))`, scratchLock, s.name).Scan(&got)
		if err != nil {
			return fmt.Errorf("lock scratch database %s: %w", s.name, err)
		}
		if got {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			if err := s.endHolder(ctx); err != nil {
				return err
			}
		case <-again.C:
		}
	}
}

func (s *scratch) endHolder(ctx context.Context) error {
	_, err := s.admin.Exec(ctx, `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_locks k ON k.pid = a.pid AND k.database = a.datid
		WHERE a.application_name LIKE 'pgumbra/%' AND a.datname = current_database() AND k.locktype = 'advisory' AND k.granted
		  AND k.classid = $1 AND k.objid = hashtext($2)::int8 & 4294967295`, scratchLock, s.name)
	if err != nil {
		return fmt.Errorf("end the session that holds scratch database %s: %w", s.name, err)
	}
	return nil
}

// scratchLimit is the connection limit that CREATE DATABASE gives a scratch
// database: until it has its comment, a statement later, that marks it as ours.
const scratchLimit = 31337

// isOurs tells a scratch database of ours from somebody else's.
func isOurs(comment string, limit int) bool {
	return strings.HasPrefix(comment, scratchMark) || comment == "" && limit == scratchLimit
}

// clear drops a leftover of ours of that name; taken: it is somebody else's.
func (s *scratch) clear(ctx context.Context) (taken bool, err error) {
	if err := s.lock(ctx); err != nil {
		return false, err
	}
	for _, name := range []string{fitName(s.name + rowsSuffix), s.name} {
		if taken, err = s.clearDatabase(ctx, name); err != nil || taken {
			return taken, err
		}
	}
	return false, s.dropGuest(ctx)
}

func (s *scratch) clearDatabase(ctx context.Context, name string) (taken bool, err error) {
	var comment string
	var limit int
	err = s.admin.QueryRow(ctx, `SELECT coalesce(shobj_description(oid, 'pg_database'), ''), datconnlimit
		FROM pg_database WHERE datname = $1`, name).Scan(&comment, &limit)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for database %s: %w", name, err)
	case !isOurs(comment, limit):
		return true, nil
	}
	return false, s.dropDatabase(ctx, name)
}

// dropTries bounds how often a database is dropped anew that others are in.
const dropTries = 3

// dropDatabase drops a database of ours, whoever is in it. FORCE asks for the right to end each
// session in it, and nobody but a superuser has that of an autovacuum worker: the statement ends
// with 42501, and ends nobody. Without FORCE the server ends such workers by itself, and waits five
// seconds for the others (CountOtherDBBackends in procarray.c).
func (s *scratch) dropDatabase(ctx context.Context, name string) (err error) {
	drop := "DROP DATABASE IF EXISTS " + pg.Ident(name)
	for range dropTries {
		if _, err = s.admin.Exec(ctx, drop+" WITH (FORCE)"); pg.State(err) != pgerrcode.InsufficientPrivilege {
			return err
		}
		if _, err = s.admin.Exec(ctx, drop); pg.State(err) != pgerrcode.ObjectInUse {
			return err
		}
	}
	return err
}
