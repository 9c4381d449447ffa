package planner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// TestPlanNamesAPgDumpThatIsMissingOrTooOld is not parallel: it changes where
// programs are looked for.
func TestPlanNamesAPgDumpThatIsMissingOrTooOld(t *testing.T) {
	folders := pgdump.Folders
	pgdump.Folders = nil
	t.Cleanup(func() { pgdump.Folders = folders })
	path := t.TempDir()
	t.Setenv("PATH", path)
	s := newShop(t, `CREATE TABLE a (id int PRIMARY KEY)`, `ALTER TABLE a ADD COLUMN b int`)
	if p := s.plan(t); !has(p, plans.Blocker, "pg-dump-missing", "pg_dump") {
		t.Errorf("without pg_dump: %+v", p.Findings)
	}
	fake := filepath.Join(path, "pg_dump")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\necho 'pg_dump (PostgreSQL) 13.4'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := s.plan(t)
	if !has(p, plans.Blocker, "pg-dump-too-old", "pg_dump") || !strings.Contains(p.Findings[0].Message, fake+" is of version 13") {
		t.Errorf("with an old pg_dump: %+v", p.Findings)
	}
}
