package main

import (
	"strings"
	"testing"
	"time"
)

// TestPoolIsNoServer: a DSN that leads to PgBouncer is said to.
func TestPoolIsNoServer(t *testing.T) {
	t.Parallel()
	ctx := limited(t, time.Minute)
	f := remoteSmall(t, "")
	for _, key := range []string{"production.dsn", "shadow.dsn"} {
		p := f.do(ctx, exitError, "plan", "--set", key+"="+f.bouncer.DSN("shop"))
		if text := p.err.String(); !strings.Contains(text, "a connection pool answers") {
			t.Errorf("%s: plan says:\n%s", key, text)
		}
	}
}
