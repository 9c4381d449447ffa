// Package disk tells how much room is left where a server keeps its data. A server
// does not tell that over a connection; so it is known only where this process runs
// on the server's machine and may read its data directory, and unknown otherwise.
package disk

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Free is the room left in bytes, of that file system of the database's, WAL or
// default tablespace which has the least. Not known: the server is elsewhere, or
// keeps its folders from us.
type Free struct {
	Bytes int64
	Where string // the folder
	Known bool
}

// Look asks the server where its data is, and the file systems there for room.
func Look(ctx context.Context, db pg.Querier) (Free, error) {
	var data, space string
	var started int64
	err := db.QueryRow(ctx, `SELECT CASE WHEN pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE') THEN pg_catalog.current_setting('data_directory') ELSE '' END,
		coalesce((SELECT pg_catalog.pg_tablespace_location(dattablespace) FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()), ''),
		extract(epoch FROM pg_catalog.pg_postmaster_start_time())::bigint`).Scan(&data, &space, &started)
	if err != nil {
		return Free{}, fmt.Errorf("ask where the server keeps its data: %w", err)
	}
	if data == "" || !isHere(data, started) {
		return Free{}, nil
	}
	var least Free
	for _, folder := range []string{data, filepath.Join(data, "pg_wal"), space} {
		if folder == "" {
			continue
		}
		bytes, ok := room(folder)
		if ok && (!least.Known || bytes < least.Bytes) {
			least = Free{Bytes: bytes, Where: folder, Known: true}
		}
	}
	return least, nil
}

// isHere reports whether a folder is that of a server that started at a moment: of
// several machines each may have one of that name.
func isHere(data string, started int64) bool {
	f, err := os.Open(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if n == 3 { // pid, data directory, start
			written, err := strconv.ParseInt(strings.TrimSpace(lines.Text()), 10, 64)
			return err == nil && written-started <= 2 && started-written <= 2
		}
	}
	return false
}
