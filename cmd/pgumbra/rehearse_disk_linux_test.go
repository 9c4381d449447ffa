package main

import (
	"fmt"
	"os"
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
	for _, c := range []struct {
		megabytes int
		says      string
	}{{30, "a rehearsal needs about 512 MB"}, {560, "a server, which did not start, needs about 512 MB"}} {
		d := newDisk(t, c.megabytes)
		bin, all := programsWithout(t, "initdb")
		must(t, os.Chmod(d.folder, 0o777))
		fills := fmt.Sprintf("#!/bin/sh\ndd if=/dev/zero of=%s/full bs=1M 2>/dev/null\nexec %s \"$@\"\n", d.folder, filepath.Join(all, "initdb"))
		must(t, os.WriteFile(filepath.Join(bin, "initdb"), []byte(fills), 0o755))
		o := &operator{t: t, dir: t.TempDir(), env: []string{"TMPDIR=" + d.folder, "PGUMBRA_TEST_SERVERS=", "PGUMBRA_PG_BIN=" + bin}}
		o.twoMigrations()
		p := o.do(t.Context(), exitFindings, "rehearse")
		if text := p.err.String(); !strings.Contains(text, c.says) || !strings.Contains(text, "TMPDIR leads to another disk") {
			t.Errorf("%d MB: %s", c.megabytes, text)
		}
		if left, _ := filepath.Glob(filepath.Join(d.folder, "pgumbra-*", "s*")); len(left) > 0 {
			t.Errorf("%d MB: %v are left", c.megabytes, left)
		}
	}
}
