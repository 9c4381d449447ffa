package planner

import (
	"context"
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// findPgDump takes the first pg_dump that is not older than the server.
func (m *survey) findPgDump(ctx context.Context) error {
	var seen []string
	for _, program := range pgdump.Installed(ctx) {
		if program.Major >= m.session.Server/10000 {
			m.pgDump = program
			return nil
		}
		seen = append(seen, program.String())
	}
	server := m.session.Server / 10000
	fix := fmt.Sprintf("install PostgreSQL's client programs, version %d or newer (Debian: postgresql-client-%d)", server, server)
	if len(seen) == 0 {
		m.blocker("pg-dump-missing", "pg_dump", "pg_dump was not found on PATH nor in /usr/lib/postgresql", fix)
		return errBlocked
	}
	m.blocker("pg-dump-too-old", "pg_dump", fmt.Sprintf("the server is of version %d, but %s: an older pg_dump refuses a newer server", server, strings.Join(seen, ", ")), fix)
	return errBlocked
}
