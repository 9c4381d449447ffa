package estimate

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// freeDisk is what is free where the shadow's tables will be, in bytes. Nil:
// not known, since the data directory cannot be read from here, or is another
// server's of the same path.
func freeDisk(ctx context.Context, conn *pgx.Conn) (*int64, error) {
	var dir, tablespace string
	var started time.Time
	err := conn.QueryRow(ctx, `SELECT pg_catalog.current_setting('data_directory'), pg_catalog.pg_tablespace_location(dattablespace),
		pg_catalog.pg_postmaster_start_time() FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`).Scan(&dir, &tablespace, &started)
	switch {
	case pg.State(err) == pgerrcode.InsufficientPrivilege:
		return nil, nil // data_directory is for superusers and pg_read_all_settings
	case err != nil:
		return nil, fmt.Errorf("ask for the data directory: %w", err)
	}
	if !isDataDirectory(dir, started) {
		return nil, nil
	}
	if tablespace != "" {
		dir = tablespace
	}
	if free, err := freeBytes(dir); err == nil {
		return &free, nil
	}
	return nil, nil // not known; nothing depends on it
}

// isDataDirectory compares the lock file in a directory of this machine with
// what the server says: its third line is the second in which it started.
func isDataDirectory(dir string, started time.Time) bool {
	f, err := os.Open(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	scanner := bufio.NewScanner(f)
	for range 3 {
		if !scanner.Scan() {
			return false
		}
	}
	second, err := strconv.ParseInt(scanner.Text(), 10, 64)
	return err == nil && second-started.Unix() >= -2 && second-started.Unix() <= 2
}
