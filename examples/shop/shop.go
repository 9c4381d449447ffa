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

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed schema.sql data.sql migrations/*.sql
var files embed.FS

// Load makes the shop with its data in an empty database.
func Load(ctx context.Context, conn *pgx.Conn) error {
	for _, name := range []string{"schema.sql", "data.sql"} {
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		if err := pg.ExecScript(ctx, conn, string(text)); err != nil {
			return fmt.Errorf("load the shop's %s: %w", name, err)
		}
	}
	return nil
}

// WriteMigrations writes the migration files to a folder.
func WriteMigrations(dir string) error {
	return fs.WalkDir(files, "migrations", func(path string, entry fs.DirEntry, err error) error {
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
