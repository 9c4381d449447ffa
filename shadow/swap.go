package shadow

import (
	"github.com/pgumbra/pgumbra/plans"
)

// SwapEntries are the statements that the swap runs, under the shadow's names,
// in order: owners and privileges of the schemas, which [Seal] has held back;
// triggers, rules and NOT VALID checks as they are; foreign keys NOT VALID, so
// that none of them reads a table during the stall.
//
// PostgreSQL before 18 refuses NOT VALID on a partitioned referencing table.
// There each leaf gets the key, which guards every row just as well; [PostSwap]
// validates them and adds the root's, which adopts valid ones of its leaves
// without reading them. Comments on such a root's key come then, too. That makes
// a constraint of each pair of partitions, so keys that [BuildPartitionKeys] has
// made already are left out.
func SwapEntries(plan *plans.Plan, built Built) []plans.Entry {
	byEntry, later := map[*plans.Entry]foreignKey{}, map[*plans.Entry]bool{}
	for _, k := range foreignKeys(plan) {
		byEntry[k.entry] = k
		if _, comment := k.comment(plan); comment != nil && len(k.leaves) > 0 && !built[k.entry.TOC] {
			later[comment] = true
		}
	}
	tree := partitions(plan)
	entries := access(plan)
	for _, e := range entriesOf(plan, inStage(plans.StageSwap)) {
		k, isKey := byEntry[e]
		switch {
		case later[e], built[e.TOC]:
		case isKey && len(k.leaves) > 0:
			entries = append(entries, onLeaves(k)...)
		case isKey && !tree.partitioned[k.table]:
			changed := *e
			changed.SQL = k.on(k.table)
			entries = append(entries, changed)
		default: // a partitioned table without any leaf has no row to check
			entries = append(entries, *e)
		}
	}
	return entries
}

func onLeaves(k foreignKey) []plans.Entry {
	entries := make([]plans.Entry, len(k.leaves))
	for i, leaf := range k.leaves {
		entries[i] = *k.entry
		entries[i].Table, entries[i].SQL = leaf, k.on(leaf)
	}
	return entries
}
