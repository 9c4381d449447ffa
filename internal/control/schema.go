package control

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Each file may be repeated, and is one implicit transaction: see [up].
//
//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewer says that the control schema was made by a newer pgumbra, whose rows
// this one may take for something else. Nothing was changed; the caller says so.
var ErrNewer = errors.New("the control schema was made by a newer pgumbra than this one")

// A migration waits for the transactions of other runs in the same database, and
// whoever comes later waits behind it, their heartbeats too: shorter than what
// makes a leader dead.
const migrateLock = "5s"

// Migrate brings the control schema to this version's structure; it makes the
// schema if it is absent. To be called by who leads, when it takes over: a run
// may have been begun by an older pgumbra. Returns [ErrNewer]. Takes no lock on
// any table of the user's, and where there is nothing to do none at all.
func Migrate(ctx context.Context, dsn string) error {
	config, err := pg.Config(dsn, pg.Options{Component: "control", SearchPath: Schema, Settings: map[string]string{"lock_timeout": migrateLock}})
	if err != nil {
		return err
	}
	done, err := prepare(ctx, config)
	if err != nil || done {
		return err
	}
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	target, err := migratepgx.WithInstance(db, &migratepgx.Config{SchemaName: Schema, MigrationsTable: "version"})
	if err != nil {
		return fmt.Errorf("control schema: %w", cause(err))
	}
	files, err := iofs.New(migrations, "migrations")
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("embedded", files, "pgumbra", target)
	if err != nil {
		return err
	}
	if err := up(m); err != nil {
		return fmt.Errorf("control schema: %w", cause(err))
	}
	srcErr, dbErr := m.Close()
	return errors.Join(srcErr, dbErr)
}

// prepare makes the schema, if it is absent. True: it is as this version has it.
func prepare(ctx context.Context, config *pgx.ConnConfig) (bool, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	now, dirty, err := version(ctx, conn)
	if err != nil {
		return false, err
	}
	newest, err := refuseNewer(now)
	if err != nil || now == newest && !dirty {
		return err == nil, err
	}
	if err := makeSchema(ctx, conn); err != nil {
		return false, fmt.Errorf("make the control schema: %w", err)
	}
	return false, nil
}

// makeSchema makes the control schema, where it is not there, for us alone:
// journals hold rows, and default privileges may let others in.
func makeSchema(ctx context.Context, conn *pgx.Conn) error {
	return pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
		var there bool
		err := tx.QueryRow(ctx, `SELECT pg_catalog.to_regnamespace($1) IS NOT NULL`, Schema).Scan(&there)
		if err != nil || there {
			return err
		}
		if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+Schema); err != nil {
			return err
		}
		var others *string
		err = tx.QueryRow(ctx, `SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END, ', ')
			FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a WHERE n.nspname = $1 AND a.grantee <> n.nspowner`, Schema).Scan(&others)
		if err != nil || others == nil {
			return err
		}
		_, err = tx.Exec(ctx, "REVOKE ALL ON SCHEMA "+Schema+" FROM "+*others)
		return err
	})
}

// up migrates. A version that is marked dirty was begun by a process that died,
// or that did not get its locks in time: done or not, its file is repeated.
func up(m *migrate.Migrate) error {
	err := m.Up()
	var dirty migrate.ErrDirty
	if errors.As(err, &dirty) {
		before := dirty.Version - 1
		if before == 0 {
			before = database.NilVersion
		}
		if err := m.Force(before); err != nil {
			return err
		}
		err = m.Up()
	}
	if errors.Is(err, migrate.ErrNoChange) {
		return nil
	}
	return err
}

// cause is the server's own error in golang-migrate's, which does not unwrap.
func cause(err error) error {
	var value database.Error
	var pointer *database.Error
	switch {
	case errors.As(err, &pointer):
		err = pointer.OrigErr
	case errors.As(err, &value):
		err = value.OrigErr
	}
	if pg.State(err) == pgerrcode.LockNotAvailable {
		return fmt.Errorf("another run in this database is at work: %w", err)
	}
	return err
}

// version reads the control schema's version; 0: there is none, or none that
// this role may read.
func version(ctx context.Context, db pg.Querier) (now int64, dirty bool, err error) {
	var there bool
	err = db.QueryRow(ctx, `SELECT coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass('pgumbra.version'), 'SELECT'), false)`).Scan(&there)
	if err == nil && there {
		err = db.QueryRow(ctx, `SELECT version, dirty FROM pgumbra.version LIMIT 1`).Scan(&now, &dirty)
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, false, fmt.Errorf("read the control schema's version: %w", err)
	}
	return now, dirty, nil
}

// refuseNewer compares a version with the newest that this pgumbra knows.
func refuseNewer(now int64) (newest int64, err error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		file, err := source.Parse(e.Name())
		if err != nil {
			return 0, fmt.Errorf("embedded migration %s: %w", e.Name(), err)
		}
		newest = max(newest, int64(file.Version))
	}
	if now > newest {
		return 0, fmt.Errorf("%w: it has version %d, this one knows %d", ErrNewer, now, newest)
	}
	return newest, nil
}

// Older reports whether the control schema is as an older pgumbra made it, and nobody
// has led a run by this one since.
func Older(ctx context.Context, db pg.Querier) (bool, error) {
	now, dirty, err := version(ctx, db)
	if err != nil || now == 0 {
		return false, err
	}
	newest, err := refuseNewer(now)
	return err == nil && (now < newest || dirty), err
}

// Exists reports whether the control schema is there with its tables.
func Exists(ctx context.Context, db pg.Querier) (bool, error) {
	var there bool
	err := db.QueryRow(ctx, `SELECT to_regclass('pgumbra.run') IS NOT NULL`).Scan(&there)
	return there, err
}
