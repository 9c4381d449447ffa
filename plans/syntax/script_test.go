package syntax

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScriptSplitsFileForForeignTransaction(t *testing.T) {
	t.Parallel()
	got, notices, err := Script("1_x.up.sql", strings.Join([]string{
		"BEGIN;", "SET LOCAL work_mem = '1MB';", "-- a comment; with a semicolon", "UPDATE a SET b = ';' WHERE c;", "COMMIT;",
		"CREATE INDEX CONCURRENTLY i ON a (b);", "REINDEX (VERBOSE, CONCURRENTLY) TABLE a;", "DROP INDEX CONCURRENTLY i;",
		"ALTER TABLE p DETACH PARTITION q CONCURRENTLY;", "VACUUM a;", "ALTER TYPE e ADD VALUE 'x';", "ALTER TYPE e RENAME VALUE 'x' TO 'y';",
		"CREATE TEMP TABLE \"T\" ON COMMIT DROP AS SELECT 1;", "DO $$ BEGIN ALTER TYPE e ADD VALUE 'z'; EXCEPTION WHEN duplicate_object THEN NULL; END $$;", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []ScriptStatement{
		{1, "BEGIN", Begin, ""}, {2, "SET LOCAL work_mem = '1MB'", Local, ""}, {4, "UPDATE a SET b = ';' WHERE c", Run, ""}, {5, "COMMIT", Boundary, ""},
		{6, "CREATE INDEX              i ON a (b)", Run, ""}, {7, "REINDEX (VERBOSE, CONCURRENTLY false) TABLE a", Run, ""},
		{8, "DROP INDEX              i", Run, ""}, {9, "ALTER TABLE p DETACH PARTITION q             ", Run, ""},
		{10, "VACUUM a", Later, ""}, {11, "ALTER TYPE e ADD VALUE 'x'", Hoist, ""}, {12, "ALTER TYPE e RENAME VALUE 'x' TO 'y'", Run, ""},
		{13, "CREATE TEMP TABLE \"T\" ON COMMIT DROP AS SELECT 1", Run, `DROP TABLE IF EXISTS pg_temp."T" CASCADE`},
		{14, "DO $$ BEGIN ALTER TYPE e ADD VALUE 'z'; EXCEPTION WHEN duplicate_object THEN NULL; END $$", Hoist, ""},
		{15, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", Later, ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(notices) > 0 {
		t.Error(notices)
	}
}

func TestScriptRefusesWhatEndsTheTransaction(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"ALTER SYSTEM SET work_mem = '1MB'", "CREATE DATABASE x", "BEGIN; DELETE FROM a; ROLLBACK", "COMMIT PREPARED 'x'",
		"DISCARD ALL", "DROP SUBSCRIPTION s", "this is not SQL; COMMIT;",
	} {
		_, notices, err := Script("1_x.up.sql", sql)
		if err != nil || len(notices) != 1 || notices[0].Code != CodeNotBehind || !strings.HasPrefix(notices[0].Where, "1_x.up.sql:1") {
			t.Errorf("%s: %v, %v", sql, notices, err)
		}
	}
}

func TestScriptKeepsUnreadableFileWhole(t *testing.T) {
	t.Parallel()
	got, notices, err := Script("1_x.up.sql", "SELECT 1;\nthis is newer than the parser")
	if err != nil || len(notices) != 0 || len(got) != 1 || got[0].Manner != Run {
		t.Errorf("%v, %v, %v", got, notices, err)
	}
}
