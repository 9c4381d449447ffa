package testcontainers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestServerOfAskedVersionIsStarted(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Major: 17})
	conn := connect(t, s.DSN("postgres"))
	if got := query[string](t, conn, "SHOW server_version_num"); !strings.HasPrefix(got, "17") {
		t.Errorf("server_version_num is %s", got)
	}
}

// What a shadow on such a server needs of the files beside its binaries.
func TestServerOfAnotherVersionBringsZonesLocalesAndExtensions(t *testing.T) {
	t.Parallel()
	conn := connect(t, start(t, Options{Major: 17}).DSN("postgres"))
	if got := query[string](t, conn, "SELECT ('2026-07-01 12:00+00'::timestamptz AT TIME ZONE 'Europe/Zurich')::text"); got != "2026-07-01 14:00:00" {
		t.Errorf("noon is %s in Zurich", got)
	}
	execute(t, conn, "CREATE EXTENSION citext")
	execute(t, conn, "CREATE COLLATION public.de (provider = icu, locale = 'de')")
	execute(t, conn, "CREATE COLLATION public.c_utf8 (provider = libc, locale = 'C.UTF-8')")
	if got := query[string](t, conn, `SELECT string_agg(w, '' ORDER BY w COLLATE public.de) FROM unnest('{z,ä,a}'::text[]) w`); got != "aäz" {
		t.Errorf("ICU's order is %s", got)
	}
}

func TestMissingVersionErrorSaysWhatToType(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Options{Major: 9})
	if err == nil || !strings.Contains(err.Error(), "type: testcontainers/install-versions 9") {
		t.Errorf("error is %v", err)
	}
}

func TestNamedFolderOfAskedVersionIsTaken(t *testing.T) {
	for banner, found := range map[string]bool{
		"postgres (PostgreSQL) 99.3 (Debian 99.3-0+deb12u1)": true,
		"postgres (PostgreSQL) 99beta1":                      true,
		"postgres (PostgreSQL) 15.3":                         false,
		"":                                                   false,
	} {
		dir := fakeBinaries(t, "any", "initdb", "postgres")
		script := "#!/bin/sh\necho '" + banner + "'\n"
		if err := os.WriteFile(filepath.Join(dir, "postgres"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv(BinVariable, dir)
		if got, err := BinDirOf(99); (got == dir) != found {
			t.Errorf("%q: BinDirOf() = %q, %v", banner, got, err)
		}
	}
}

func TestNewestMinorVersionOfTheCacheComesFirst(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	for _, name := range []string{"postgresql-17.9", "postgresql-17.10", "postgresql-16.14", "postgresql-17.2"} {
		if err := os.MkdirAll(filepath.Join(cache, name, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, dir := range cached(17, []string{cache}) {
		got = append(got, filepath.Base(filepath.Dir(dir)))
	}
	if want := []string{"postgresql-17.10", "postgresql-17.9", "postgresql-17.2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestUsersCacheGoesBeforeRoots(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/somewhere")
	if got := cacheFolders(); !slices.Equal(got, []string{"/somewhere/pgumbra", "/var/cache/pgumbra"}) {
		t.Errorf("with XDG_CACHE_HOME: %v", got)
	}
}
