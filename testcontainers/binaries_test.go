package testcontainers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeBinaries makes a folder of the shape that Debian gives a major version.
func fakeBinaries(t *testing.T, major string, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), major, "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestNamedFolderWinsOverInstalledServers(t *testing.T) {
	named := fakeBinaries(t, "99", "initdb", "postgres", "pg_dump")
	t.Setenv(BinVariable, named)
	if got, err := BinDir(); got != named || err != nil {
		t.Errorf("BinDir() = %q, %v", got, err)
	}
	if got, err := Bin("pg_dump"); got != filepath.Join(named, "pg_dump") || err != nil {
		t.Errorf("Bin() = %q, %v", got, err)
	}
}

func TestWrongNamedFolderIsAnErrorThatNamesIt(t *testing.T) {
	t.Setenv(BinVariable, fakeBinaries(t, "99", "initdb"))
	_, err := Start(t.Context(), Options{})
	if err == nil || !strings.Contains(err.Error(), BinVariable) || !strings.Contains(err.Error(), "no executable postgres") {
		t.Errorf("error is %v", err)
	}
	if _, err := Bin("pg_dump"); err == nil {
		t.Error("Bin passes over the named folder")
	}
}

func TestNewestCompleteServerIsTaken(t *testing.T) {
	t.Parallel()
	nine := fakeBinaries(t, "9", "initdb", "postgres")
	fifteen := fakeBinaries(t, "15", "initdb", "postgres")
	client := fakeBinaries(t, "18", "pg_dump")
	if got, err := first(newestFirst([]string{nine, client, fifteen})); got != fifteen || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, fifteen)
	}
}

func TestMissingServerErrorNamesAllThreeWays(t *testing.T) {
	t.Parallel()
	_, err := first(nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, method := range []string{BinVariable, "pg_config", "/usr/lib/postgresql/*/bin", "Docker", ImageVariable} {
		if !strings.Contains(err.Error(), method) {
			t.Errorf("%q does not name %s", err, method)
		}
	}
}
