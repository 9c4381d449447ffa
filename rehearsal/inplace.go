package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/golang-migrate/migrate/v4"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	_ "github.com/golang-migrate/migrate/v4/source/file" // migrations are read from a folder, as the user's own tool does
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// InPlace runs migrations as golang-migrate does, the ordinary way.
type InPlace struct {
	DSN    string
	Folder string
	// Table is the version table, schema-qualified or not; empty: golang-migrate's
	// own.
	Table          string
	MultiStatement bool // x-multi-statement=true
}

// Up runs all migrations that are newer than the database, on the spot, which no
// context interrupts.
func (i InPlace) Up() error {
	return i.with(func(m *migrate.Migrate) error { return m.Up() })
}

// To brings a database to a version. An error of golang-migrate's names the
// statement, and leaves the version dirty.
func (i InPlace) To(version int64) error {
	return i.with(func(m *migrate.Migrate) error { return m.Migrate(uint(version)) })
}

// Force notes a version without running anything.
func (i InPlace) Force(version int64) error {
	return i.with(func(m *migrate.Migrate) error { return m.Force(int(version)) })
}

// MigrateInPlace is [InPlace.Up].
func MigrateInPlace(_ context.Context, dsn, folder, table string) error {
	return InPlace{DSN: dsn, Folder: folder, Table: table}.Up()
}

// MigrateEachInPlace is [MigrateInPlace] with x-multi-statement=true.
func MigrateEachInPlace(_ context.Context, dsn, folder, table string) error {
	return InPlace{DSN: dsn, Folder: folder, Table: table, MultiStatement: true}.Up()
}

func (i InPlace) with(do func(*migrate.Migrate) error) error {
	config, err := pgx.ParseConfig(i.DSN)
	if err != nil {
		return err
	}
	if _, given := config.RuntimeParams["client_encoding"]; !given {
		config.RuntimeParams["client_encoding"] = "UTF8" // as golang-migrate's driver for postgres:// has it
	}
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	driver, err := migratepgx.WithInstance(db, i.settings())
	if err != nil {
		return err
	}
	m, err := migrate.NewWithDatabaseInstance((&url.URL{Scheme: "file", Path: i.Folder}).String(), "pgx5", driver)
	if err != nil {
		return err
	}
	err = do(m)
	if errors.Is(err, migrate.ErrNoChange) {
		err = nil
	}
	source, database := m.Close()
	return errors.Join(err, source, database)
}

func (i InPlace) settings() *migratepgx.Config {
	settings := &migratepgx.Config{}
	if i.MultiStatement {
		settings.MultiStatementEnabled, settings.MultiStatementMaxSize = true, 10<<20
	}
	if i.Table == "" {
		return settings
	}
	settings.MigrationsTable = i.Table
	if schema, name, ok := strings.Cut(i.Table, "."); ok {
		settings.MigrationsTable, settings.MigrationsTableQuoted = fmt.Sprintf(`"%s"."%s"`, schema, name), true
	}
	return settings
}
