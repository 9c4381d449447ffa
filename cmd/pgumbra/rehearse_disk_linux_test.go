package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A disk without room is told as such, before a server is started on it and where it
// fills while one starts; nothing of the rehearsal is left there.
func TestRehearseOnDiskThatIsFull(t *testing.T) {
	t.Parallel()
	if !mountable() {
		t.Skip("no file system can be mounted here: run as root")
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
		if len(found) == 0 {
			t.Fatal("no initdb")
		}
		initdb = found[len(found)-1]
	}
	for _, c := range []struct {
		megabytes int
		says      string
	}{{30, "a rehearsal needs about 512 MB"}, {560, "a server, which did not start, needs about 512 MB"}} {
		d, bin := newDisk(t, c.megabytes), t.TempDir()
		must(t, os.Chmod(d.folder, 0o777))
		others, err := filepath.Glob(filepath.Join(filepath.Dir(initdb), "*"))
		must(t, err)
		for _, other := range others {
			if other != initdb {
				must(t, os.Symlink(other, filepath.Join(bin, filepath.Base(other))))
			}
		}
		fills := fmt.Sprintf("#!/bin/sh\ndd if=/dev/zero of=%s/full bs=1M 2>/dev/null\nexec %s \"$@\"\n", d.folder, initdb)
		must(t, os.WriteFile(filepath.Join(bin, "initdb"), []byte(fills), 0o755))
		for _, folder := range []string{filepath.Dir(bin), bin} {
			must(t, os.Chmod(folder, 0o755))
		}
		o := &operator{t: t, dir: t.TempDir(), env: []string{"TMPDIR=" + d.folder, "PGUMBRA_TEST_SERVERS=", "PGUMBRA_PG_BIN=" + bin}}
		must(t, os.Mkdir(filepath.Join(o.dir, "migrations"), 0o755))
		for name, text := range map[string]string{"migrations/1_a.up.sql": "CREATE TABLE a (id int PRIMARY KEY);", "migrations/2_b.up.sql": "ALTER TABLE a ADD b int;",
			"pgumbra.yaml": "name: up\nproduction: {schemas: [public]}\nmigrations: {path: migrations, from: 1}\n"} {
			must(t, os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o644))
		}
		p := o.do(t.Context(), exitFindings, "rehearse")
		if text := p.err.String(); !strings.Contains(text, c.says) || !strings.Contains(text, "TMPDIR leads to another disk") {
			t.Errorf("%d MB: %s", c.megabytes, text)
		}
		if left, _ := filepath.Glob(filepath.Join(d.folder, "pgumbra-*", "s*")); len(left) > 0 {
			t.Errorf("%d MB: %v are left", c.megabytes, left)
		}
	}
}
