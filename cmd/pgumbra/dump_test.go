package main

import (
	"os/exec"
	"regexp"

	"github.com/pgumbra/pgumbra/testcontainers"
)

var restrict = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`)

// dump is the structure of the whole database.
func (o *operator) dump() string {
	o.t.Helper()
	path, err := testcontainers.Bin("pg_dump")
	must(o.t, err)
	out, err := exec.Command(path, "--schema-only", o.dsn).CombinedOutput()
	if err != nil {
		o.t.Fatalf("pg_dump: %v\n%s", err, out)
	}
	return restrict.ReplaceAllString(string(out), "")
}
