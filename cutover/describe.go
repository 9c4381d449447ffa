package cutover

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
)

// untoldRun and untoldTable stand in texts for numbers that only a run knows: its
// own, and the oid of a table of the shadow.
const (
	untoldRun   = 911_911_911_911
	untoldTable = 4_011_911_911
)

// DescribeGuards tells what keeps statements with an older snapshot off the new
// tables, by the very texts that a cutover in one database sends. They are made on
// the shadow: a trigger and an object of statistics on each table, which lock it
// against VACUUM and DDL only.
func DescribeGuards(plan *plans.Plan) []string {
	run := &control.Run{ID: untoldRun, Name: plan.Run, Plan: plan}
	var tables []relation
	for _, n := range plan.ShadowRelations() {
		tables = append(tables, relation{oid: untoldTable, name: n})
	}
	all := []string{guardFunction(run), "REVOKE ALL ON FUNCTION " + guardName(run).Quoted() + "() FROM PUBLIC",
		readFunction(run), "GRANT EXECUTE ON FUNCTION " + readFunctionName(run).Quoted() + "(text) TO PUBLIC"}
	all = append(all, guards(run, tables, "<xid of the drain>")...)
	for i := range all {
		all[i] = strings.ReplaceAll(strings.ReplaceAll(all[i], fmt.Sprint(untoldRun), "<run>"), fmt.Sprint(untoldTable), "<oid>")
	}
	return all
}
