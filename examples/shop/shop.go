// Package shop is a small web shop for the demo and for tests: a schema at
// version 1, data, a history of migrations as real projects write them, and
// traffic that keeps a ledger of every commit that was acknowledged.
package shop

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed data.sql migrations/*.sql later/*.sql
var files embed.FS

// first is the migration that makes the shop.
const first = "migrations/000001_shop.up.sql"

// version is golang-migrate's table, as it stands after the first migration.
const version = `CREATE TABLE shop.schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
	INSERT INTO shop.schema_migrations VALUES (1, false)`

// Load makes the shop at version 1 with its data in an empty database: all customers, and
// one in so many of the rows of the other tables, as 1 for the whole.
func Load(ctx context.Context, conn *pgx.Conn, oneIn int) error {
	if _, err := conn.Exec(ctx, `SELECT pg_catalog.set_config('shop.one_in', $1, false)`, strconv.Itoa(oneIn)); err != nil {
		return fmt.Errorf("set how much of the shop is loaded: %w", err)
	}
	for _, name := range []string{first, "data.sql"} {
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		if err := pg.ExecScript(ctx, conn, string(text)); err != nil {
			return fmt.Errorf("load the shop's %s: %w", name, err)
		}
	}
	if err := pg.ExecScript(ctx, conn, version); err != nil {
		return fmt.Errorf("make the shop's version table: %w", err)
	}
	return nil
}

// WriteMigrations writes the migration files to a folder.
func WriteMigrations(dir string) error { return write("migrations", dir) }

// WriteLater adds a migration that is not understood, for a second upgrade.
func WriteLater(dir string) error { return write("later", dir) }

func write(from, dir string) error {
	return fs.WalkDir(files, from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o644)
	})
}
