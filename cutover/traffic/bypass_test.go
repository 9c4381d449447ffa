package traffic

import (
	"strings"
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
	second := client(t, f.file.Production.DSN)
	run(t, second, "SET application_name = 'report'")
	if found, err = f.traffic.Bypassing(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	named := Bypasses(found)
	if len(named) != 1 || named[0].Code != "bypasses-pool" || !strings.HasPrefix(named[0].Message, "2 sessions") || !strings.Contains(named[0].Object, "report") {
		t.Errorf("%+v", named)
	}
}
