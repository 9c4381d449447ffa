package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestCommandThatFailsUndoesTheCutover: clients write to production as before,
// and the next cutover, for which the command succeeds, is done.
func TestCommandThatFailsUndoesTheCutover(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, time.Minute)
	o := &operator{t: t, dir: t.TempDir(), dsn: testcontainers.Database(t), there: testcontainers.Database(t), run: "up", env: []string{"PGUMBRA_CUTOVER_ATTEMPTS=1"}}
	o.sql(small.sql)
	lead := filepath.Join(o.dir, "lead.sh")
	must(t, os.WriteFile(lead, []byte("#!/bin/sh\ncd $(dirname $0); echo $PGUMBRA_STEP $PGUMBRA_TO_DBNAME >>told\ntest -e ready -o $PGUMBRA_STEP = back || { echo no route, password=geheim; exit 3; }\n"), 0o700))
	o.settle(small.with("", nil, fmt.Sprintf("shadow: {dsn: %q}\ntraffic: {command: [%q]}\n", o.there, lead)))
	o.do(ctx, exitDone, "run", "--until", "following")
	p := o.do(ctx, exitNotNow, "cutover")
	if text := p.err.String(); !strings.Contains(text, "exit status 3: no route") || !strings.Contains(text, "is in phase following") || strings.Contains(text, "geheim") {
		t.Errorf("a command that fails:\n%s", text)
	}
	told := func() []string {
		text, err := os.ReadFile(filepath.Join(o.dir, "told"))
		must(t, err)
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	if all := told(); all[0] != "switch "+databaseAt(t, o.there) || all[len(all)-1] != "back "+o.database() {
		t.Errorf("told %q", all)
	}
	o.sql(`INSERT INTO shop.a VALUES (9999, 'after', 1)`)
	o.write("ready", "")
	o.do(ctx, exitDone, "cutover")
	if all := told(); all[len(all)-1] != "switch "+databaseAt(t, o.there) {
		t.Errorf("told %q", all)
	}
	conn := o.connect(ctx)
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `DELETE FROM shop.a`); pg.State(err) != pgerrcode.ReadOnlySQLTransaction {
		t.Errorf("production takes writes: %v", err)
	}
	o.waitIn(ctx, theShadow, `SELECT b FROM shop.a WHERE id = 9999 AND m = 2`)
}

func databaseAt(t *testing.T, dsn string) string {
	t.Helper()
	return (&operator{t: t, dsn: dsn}).database()
}
