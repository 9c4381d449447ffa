package rehearsal_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// An oracle that reads nothing finds everything equal.
func TestOracleReadsRows(t *testing.T) {
	t.Parallel()
	dsn := testcontainers.Database(t)
	execute(t.Context(), t, dsn, `CREATE SCHEMA app; CREATE TABLE app.a (b text, c int); INSERT INTO app.a VALUES ('x', 2), ('y', 1); CREATE TABLE app.none (); INSERT INTO app.none DEFAULT VALUES`)
	o := rehearsal.Oracle{Schemas: []string{"app"}}
	for _, c := range []struct {
		leaveOut []string
		want     map[string][]string
	}{
		{nil, map[string][]string{"app.a": {"(x,2)", "(y,1)"}, "app.none": {"()"}}},
		{[]string{"app.a.b"}, map[string][]string{"app.a": {"(1)", "(2)"}, "app.none": {"()"}}},
	} {
		rows, err := o.Rows(t.Context(), dsn, c.leaveOut...)
		must(t, err)
		if diff := cmp.Diff(c.want, rows); diff != "" {
			t.Errorf("without %v (-want +got):\n%s", c.leaveOut, diff)
		}
	}
}
