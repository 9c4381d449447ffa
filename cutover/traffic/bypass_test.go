package traffic

import (
	"testing"

	"github.com/pgumbra/pgumbra/testcontainers"
)

func TestSessionsPastPgBouncerAreListed(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	through := client(t, f.bouncer.DSN("shop"))
	run(t, through, "BEGIN") // keeps its server session
	db := client(t, f.file.Production.DSN)
	if found, err := f.traffic.Bypassing(t.Context(), db); err != nil || len(found) != 0 {
		t.Errorf("%v (%v)", found, err)
	}
	past := client(t, f.file.Production.DSN)
	run(t, past, "SET application_name = 'report'")
	found, err := f.traffic.Bypassing(t.Context(), db)
	if err != nil || len(found) != 1 || found[0].PID != past.PgConn().PID() || found[0].Application != "report" || found[0].Address != "127.0.0.1" {
		t.Errorf("%v (%v)", found, err)
	}
}
